// Models in directories as Hugging Face has them: config.json, and model.safetensors or its shards.
#ifndef SEEDNORM_LAB_LANGUAGE_INTEROP_MODEL_DIR_H_
#define SEEDNORM_LAB_LANGUAGE_INTEROP_MODEL_DIR_H_

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "lab/language/models/model.h"
#include "lab/tensors/safetensors.h"

namespace seednorm::lab {

enum class Weights {
  kFloat32,  // a copy to train on
  // In the file's dtype and, where its order allows, in the file's own pages: matrices and embeddings are
  // read when they are used, nobody may write to them, and nothing is trained. What is small (norms,
  // Frac-Connections) is float32.
  kStored,
};

// Errors (UserError): see read_hf_config and read_model_tensors; a tensor that is missing, that the model
// does not have, or whose shape or dtype is not the model's.
std::unique_ptr<Model> load_model(const std::filesystem::path& folder, Weights weights = Weights::kFloat32);

// The weights alone, for a model that is there already. Nothing is changed when it throws.
void load_weights(Model& model, const std::filesystem::path& folder, Weights weights = Weights::kFloat32);

// config.json and model.safetensors, in a folder that exists (a checkpoint that is being written). dtype:
// float32, bfloat16 or float16. `more`: members of config.json that the model does not decide, as
// {"eos_token_id": 0}.
void write_model(const Model& model, const std::filesystem::path& folder, at::ScalarType dtype = at::kFloat,
                 const nlohmann::json& more = nlohmann::json::object());

// The same in a new folder that appears complete or not at all. Errors (UserError): it exists.
void save_model(const Model& model, const std::filesystem::path& folder, at::ScalarType dtype = at::kFloat,
                const nlohmann::json& more = nlohmann::json::object());

// How a parameter is stored: under its own name, or in one piece for each expert, in the experts' order:
// model.layers.0.mlp.gate_proj [E, F, D] is model.layers.0.mlp.experts.0.gate_proj.weight [F, D] and so on.
std::vector<std::string> stored_names(const ParamInfo& param);

// "float32", "bfloat16", "float16". Errors (std::invalid_argument): another.
std::string dtype_name(at::ScalarType dtype);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_INTEROP_MODEL_DIR_H_

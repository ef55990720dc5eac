// Model directories in Hugging Face's format: config.json, and model.safetensors or its shards.
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
  // Weights keep the file's dtype and, if the order of tensors allows, are mapped from the file: matrices and
  // embeddings are read when they are used, must not be written to, and cannot be trained. Small parameters
  // (norms, Frac-Connections) are float32.
  kStored,
};

// Errors (UserError): see read_hf_config and read_model_tensors; a tensor that is missing, that the model
// does not have, or whose shape or dtype is not the model's.
std::unique_ptr<Model> load_model(const std::filesystem::path& folder, Weights weights = Weights::kFloat32);

// Loads only the weights, into an existing model. If it throws, nothing has changed.
void load_weights(Model& model, const std::filesystem::path& folder, Weights weights = Weights::kFloat32);

// Writes config.json and model.safetensors into an existing folder (a checkpoint that is being written).
// dtype is float32, bfloat16 or float16. `more` has members of config.json that do not depend on the model,
// such as {"eos_token_id": 0}.
void write_model(const Model& model, const std::filesystem::path& folder, at::ScalarType dtype = at::kFloat,
                 const nlohmann::json& more = nlohmann::json::object());

// The same in a new folder, which appears either complete or not at all. Errors (UserError): the folder
// exists.
void save_model(const Model& model, const std::filesystem::path& folder, at::ScalarType dtype = at::kFloat,
                const nlohmann::json& more = nlohmann::json::object());

// The stored form of a parameter: one tensor of the same name, or one for each expert, in the experts' order:
// model.layers.0.mlp.gate_proj [E, F, D] is model.layers.0.mlp.experts.0.gate_proj.weight [F, D] and so on.
std::vector<std::string> stored_names(const ParamInfo& param);

// "float32", "bfloat16", "float16". Errors (std::invalid_argument): another dtype.
std::string dtype_name(at::ScalarType dtype);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_INTEROP_MODEL_DIR_H_

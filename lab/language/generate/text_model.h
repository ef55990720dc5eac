// A model and its tokenizer, ready to generate text.
#ifndef SEEDNORM_LAB_LANGUAGE_GENERATE_TEXT_MODEL_H_
#define SEEDNORM_LAB_LANGUAGE_GENERATE_TEXT_MODEL_H_

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lab/language/data/tokenizer/tokenizer.h"
#include "lab/language/models/model.h"

namespace seednorm::lab {

struct TextModel {
  std::shared_ptr<Model> model;
  Tokenizer tokenizer;
  std::vector<int32_t>
      eos_ids;  // tokens that end a text: those of generation_config.json, config.json or the tokenizer
};

// The tokenizer that `source` names, "byte" or a tokenizer.json; empty: the folder's, or nothing if the
// folder has none. Errors (UserError): those of Tokenizer::load; it has more ids than the model.
std::optional<Tokenizer> find_tokenizer(const std::filesystem::path& folder, const std::string& source,
                                        const Model& model);
// The same, but a missing tokenizer is an error (UserError).
Tokenizer load_tokenizer(const std::filesystem::path& folder, const std::string& source, const Model& model);

// bfloat16 if the head's matrix is, else float32.
at::ScalarType stored_dtype(const Model& model);

// The model of `folder` with weights and activations in `dtype`, float32 or bfloat16; nothing: in its
// stored_dtype. Weights that are stored in this dtype are not copied. `tokenizer`: see load_tokenizer. Errors
// (UserError): those of load_model and load_tokenizer; an invalid eos_token_id of generation_config.json and
// config.json.
TextModel load_text_model(const std::filesystem::path& folder, const std::string& tokenizer,
                          std::optional<at::ScalarType> dtype);

// Converts matrices and embeddings to this dtype; the model cannot be trained afterwards.
void cast_weights(Model& model, at::ScalarType dtype);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_GENERATE_TEXT_MODEL_H_

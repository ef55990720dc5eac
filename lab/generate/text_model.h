// A model directory, ready to write text.
#ifndef SEEDNORM_LAB_GENERATE_TEXT_MODEL_H_
#define SEEDNORM_LAB_GENERATE_TEXT_MODEL_H_

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lab/data/tokenizer/tokenizer.h"
#include "lab/models/model.h"

namespace seednorm::lab {

struct TextModel {
  std::unique_ptr<Model> model;  // no gradients
  Tokenizer tokenizer;
  std::vector<int32_t> eos_ids;  // tokens that end a text: config.json's, else the tokenizer's
};

// The model of `folder` with weights and activations in `dtype`, float32 or bfloat16; nothing: bfloat16 if
// the embedding is stored so, else float32. Weights that are stored in it are not copied. `tokenizer` is
// "byte" or a tokenizer.json; empty: the folder's. Errors (UserError): as load_model and Tokenizer::load; the
// tokenizer has more ids than the model; config.json's eos_token_id.
TextModel load_text_model(const std::filesystem::path& folder, const std::string& tokenizer,
                          std::optional<at::ScalarType> dtype);

// Matrices and embeddings in this dtype from here on; nothing is trained then.
void cast_weights(Model& model, at::ScalarType dtype);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_GENERATE_TEXT_MODEL_H_

// The options of verbs that read a trained model.
#ifndef SEEDNORM_LAB_CLI_MODEL_OPTIONS_H_
#define SEEDNORM_LAB_CLI_MODEL_OPTIONS_H_

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "lab/data/tokenizer/tokenizer.h"
#include "lab/models/model.h"

namespace seednorm::lab {

struct ModelOptions {
  std::string folder, tokenizer, dtype = "float32";
  int threads = 0;

  // With the weights as they are stored, in the file's own pages; activations in `dtype`. Errors (UserError):
  // see load_model.
  std::unique_ptr<Model> load() const;
  // --tokenizer, or else the model folder's; nothing if there is none. Errors (UserError): see
  // Tokenizer::load; it has more ids than the model.
  std::optional<Tokenizer> find_tokenizer(const Model& model) const;
  // The same. Errors (UserError) also: there is none.
  Tokenizer load_tokenizer(const Model& model) const;
  // A hash of config.json and of samples of all weight files, which training changes; and of dtype.
  std::string fingerprint() const;
};

// Adds --model, --tokenizer, --dtype and --threads.
void add_model_options(CLI::App& app, ModelOptions& options);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_CLI_MODEL_OPTIONS_H_

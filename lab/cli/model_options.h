// The options of verbs that read a trained model.
#ifndef SEEDNORM_LAB_CLI_MODEL_OPTIONS_H_
#define SEEDNORM_LAB_CLI_MODEL_OPTIONS_H_

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "lab/language/generate/text_model.h"

namespace seednorm::lab {

struct ModelOptions {
  std::string folder, tokenizer, dtype = "float32";
  int threads = 0;

  // Sets the number of threads, and the libraries for matrix products.
  void use_machine() const;
  // The dtype of activations, or nothing for that of the stored weights.
  std::optional<at::ScalarType> activations() const;
  // The model, with the weights in their stored dtype, mapped from the file. Errors (UserError): see
  // load_model.
  std::unique_ptr<Model> load() const;
  // A hash of dtype, of config.json and of every byte of the weights.
  std::string fingerprint() const;
};

// Adds --model, --tokenizer, --dtype and --threads; their defaults are the values in `options`.
void add_model_options(CLI::App& app, ModelOptions& options);
// The same without --model, for a verb that takes several.
void add_reading_options(CLI::App& app, ModelOptions& options);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_CLI_MODEL_OPTIONS_H_

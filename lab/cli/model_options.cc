#include "lab/cli/model_options.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <vector>

#include "lab/base/error.h"
#include "lab/base/file.h"
#include "lab/base/sha256.h"
#include "lab/language/interop/model_dir.h"

namespace seednorm::lab {
namespace fs = std::filesystem;

void ModelOptions::set_threads() const {
  if (threads > 0) at::set_num_threads(threads);
}

std::optional<at::ScalarType> ModelOptions::activations() const {
  if (dtype == "stored") return std::nullopt;
  return dtype == "bfloat16" ? at::kBFloat16 : at::kFloat;
}

std::unique_ptr<Model> ModelOptions::load() const {
  set_threads();
  auto model = load_model(folder, Weights::kStored);
  model->set_dtype(activations().value_or(stored_dtype(*model)));
  return model;
}

std::string ModelOptions::fingerprint() const {
  constexpr size_t kSamples = 256, kSampleBytes = 4096;
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const bool weights = entry.path().extension() == ".safetensors";
    if (weights || entry.path().filename() == "config.json") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  Sha256 sha;
  sha.update(dtype);
  for (const fs::path& path : files) {
    const MappedFile file(path);
    const std::string_view bytes = file.bytes();
    sha.update(path.filename().string() + " " + std::to_string(bytes.size()) + "\n");
    for (size_t i = 0; i < kSamples; ++i) {
      sha.update(bytes.substr(bytes.size() / kSamples * i, kSampleBytes));
    }
  }
  return sha.hex();
}

void add_model_options(CLI::App& app, ModelOptions& options) {
  app.add_option("--model", options.folder, "The model's folder, as Hugging Face has it")
      ->required()
      ->type_name("DIR");
  app.add_option("--tokenizer", options.tokenizer,
                 "A tokenizer.json, or byte; default: the one in the model's folder")
      ->type_name("FILE");
  app.add_option("--dtype", options.dtype,
                 "Of activations: float32, bfloat16, or the one that the weights are stored in")
      ->check(CLI::IsMember({"float32", "bfloat16", "stored"}))
      ->capture_default_str()
      ->type_name("DTYPE");
  app.add_option("--threads", options.threads, "Threads; default: as many as there are processors")
      ->check(CLI::Range(1, 1024))
      ->type_name("N");
}

}  // namespace seednorm::lab

#include "lab/cli/model_options.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <vector>

#include "lab/base/error.h"
#include "lab/base/file.h"
#include "lab/base/parallel.h"
#include "lab/base/sha256.h"
#include "lab/language/interop/model_dir.h"
#include "lab/nn/cpu/machine_products.h"

namespace seednorm::lab {
namespace fs = std::filesystem;
namespace {

// A hash of a file's size and of all its bytes. Pieces are hashed in parallel; the result is the hash of
// their hashes.
std::string sum_of(const fs::path& path) {
  constexpr int64_t kPiece = int64_t{8} << 20;
  const MappedFile file(path);
  const std::string_view bytes = file.bytes();
  const auto size = static_cast<int64_t>(bytes.size()), count = (size + kPiece - 1) / kPiece;
  std::vector<std::string> sums(static_cast<size_t>(count));
  parallel_for(0, count, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      sums[static_cast<size_t>(i)] = sha256_hex(bytes.substr(static_cast<size_t>(i * kPiece), kPiece));
    }
  });
  Sha256 sha;
  sha.update(std::to_string(size));
  for (const std::string& sum : sums) sha.update(sum);
  return sha.hex();
}

}  // namespace

void ModelOptions::use_machine() const {
  if (threads > 0) at::set_num_threads(threads);
  set_product_choice(machine_product_choice());
}

std::optional<at::ScalarType> ModelOptions::activations() const {
  if (dtype == "stored") return std::nullopt;
  return dtype == "bfloat16" ? at::kBFloat16 : at::kFloat;
}

std::unique_ptr<Model> ModelOptions::load() const {
  use_machine();
  auto model = load_model(folder, Weights::kStored);
  model->set_dtype(activations().value_or(stored_dtype(*model)));
  return model;
}

std::string ModelOptions::fingerprint() const {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const fs::path name = entry.path().filename();
    const bool weights =
        name.extension() == ".safetensors" || name.string().ends_with(".safetensors.index.json");
    if (weights || name == "config.json") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  Sha256 sha;
  sha.update(dtype);
  for (const fs::path& path : files) sha.update(path.filename().string() + " " + sum_of(path) + "\n");
  return sha.hex();
}

void add_model_options(CLI::App& app, ModelOptions& options) {
  app.add_option("--model", options.folder, "The model's folder, as Hugging Face writes it")
      ->required()
      ->type_name("DIR");
  add_reading_options(app, options);
}

void add_reading_options(CLI::App& app, ModelOptions& options) {
  app.add_option("--tokenizer", options.tokenizer,
                 "A tokenizer.json, or `byte`; default: the one in the model's folder")
      ->type_name("FILE");
  app.add_option("--dtype", options.dtype,
                 "Dtype of activations: float32, bfloat16, or that of the stored weights")
      ->check(CLI::IsMember({"float32", "bfloat16", "stored"}))
      ->capture_default_str()
      ->type_name("DTYPE");
  app.add_option("--threads", options.threads, "Number of threads; default: the number of processors")
      ->check(CLI::Range(1, 1024))
      ->type_name("N");
}

}  // namespace seednorm::lab

#include "lab/language/generate/text_model.h"

#include <nlohmann/json.hpp>

#include "lab/base/error.h"
#include "lab/base/file.h"
#include "lab/base/json_field.h"
#include "lab/language/interop/model_dir.h"

namespace seednorm::lab {
namespace fs = std::filesystem;
namespace {

constexpr size_t kMaxConfigBytes = size_t{1} << 20;

// "eos_token_id" of a file, which is one id, a list of ids, or null; nothing if it is missing.
std::vector<int32_t> eos_ids_in(const fs::path& file, int64_t vocab_size) {
  std::vector<int32_t> out;
  if (!fs::exists(file)) return out;
  const nlohmann::json json = parse_json(read_file(file, kMaxConfigBytes), file.string());
  const JsonField field = JsonField(json, file.string()).find("eos_token_id");
  const auto add = [&](const JsonField& id) {
    out.push_back(static_cast<int32_t>(id.integer(0, vocab_size - 1)));
  };
  if (field.is_null()) return out;
  if (json["eos_token_id"].is_array()) {
    for (size_t i = 0; i < field.size(); ++i) add(field[i]);
  } else {
    add(field);
  }
  return out;
}

// Searched in the order of transformers, and then in the tokenizer.
std::vector<int32_t> eos_ids_of(const fs::path& folder, const Tokenizer& tokenizer, int64_t vocab_size) {
  for (const char* name : {"generation_config.json", "config.json"}) {
    const std::vector<int32_t> ids = eos_ids_in(folder / name, vocab_size);
    if (!ids.empty()) return ids;
  }
  const auto id = tokenizer.eos_id();
  return id ? std::vector<int32_t>{*id} : std::vector<int32_t>{};
}

}  // namespace

std::optional<Tokenizer> find_tokenizer(const fs::path& folder, const std::string& source,
                                        const Model& model) {
  const fs::path file = folder / kTokenizerFile;
  if (source.empty() && !fs::exists(file)) return std::nullopt;
  Tokenizer out = Tokenizer::load(source.empty() ? file.string() : source);
  const int64_t vocab_size = model.config().vocab_size;
  if (out.vocab_size() > vocab_size) {
    throw UserError(folder.string() + ": the tokenizer " + quote(out.name()) + " has " +
                    std::to_string(out.vocab_size()) + " ids, the model only " + std::to_string(vocab_size));
  }
  return out;
}

Tokenizer load_tokenizer(const fs::path& folder, const std::string& source, const Model& model) {
  if (auto out = find_tokenizer(folder, source, model)) return *out;
  throw UserError(
      (folder / kTokenizerFile).string() +
      ": is not there; --tokenizer names the tokenizer.json that the model was trained with, or byte");
}

at::ScalarType stored_dtype(const Model& model) {
  return model.head().scalar_type() == at::kBFloat16 ? at::kBFloat16 : at::kFloat;
}

void cast_weights(Model& model, at::ScalarType dtype) {
  for (const ParamInfo& p : model.params()) {
    const bool large = p.role == Role::kMatrix || p.role == Role::kEmbedding;
    if (large && p.tensor.scalar_type() != dtype) at::Tensor(p.tensor).set_data(p.tensor.to(dtype));
  }
}

TextModel load_text_model(const fs::path& folder, const std::string& tokenizer,
                          std::optional<at::ScalarType> dtype) {
  std::unique_ptr<Model> model = load_model(folder, Weights::kStored);
  TextModel out = {.model = nullptr, .tokenizer = load_tokenizer(folder, tokenizer, *model), .eos_ids = {}};
  out.model = std::move(model);
  out.eos_ids = eos_ids_of(folder, out.tokenizer, out.model->config().vocab_size);
  const at::NoGradGuard no_grad;
  const at::ScalarType use = dtype.value_or(stored_dtype(*out.model));
  cast_weights(*out.model, use);
  out.model->set_dtype(use);
  return out;
}

}  // namespace seednorm::lab

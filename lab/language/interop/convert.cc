#include "lab/language/interop/convert.h"

#include <ATen/Functions.h>

#include <map>
#include <set>
#include <stdexcept>

#include "lab/base/error.h"
#include "lab/base/file.h"
#include "lab/language/interop/hf_config.h"
#include "lab/language/interop/model_dir.h"
#include "lab/nn/norm_conversion.h"
#include "lab/tensors/strict_json.h"

namespace seednorm::lab {
namespace fs = std::filesystem;
namespace {

using at::Tensor;
using nlohmann::json;

constexpr size_t kMaxFileBytes = size_t{256} << 20;
constexpr const char* kCopied[] = {
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.json",
    "merges.txt",     "added_tokens.json",     "chat_template.jinja",     "generation_config.json"};

// A dtype that represents every weight of the folder exactly.
at::ScalarType common_dtype(const fs::path& folder) {
  const TensorMap tensors = read_model_tensors(folder);
  const at::ScalarType first = tensors.begin()->second.scalar_type();
  for (const auto& [name, tensor] : tensors) {
    if (tensor.scalar_type() != first) return at::kFloat;
  }
  return first;
}

Conversion convert_norms(const Model& from, const Model& to) {
  Conversion out;
  const auto old_norms = from.norms(), new_norms = to.norms();
  for (size_t i = 0; i < old_norms.size(); ++i) {
    const NormLayer &a = *old_norms[i].second, &b = *new_norms[i].second;
    share_params(a, b);
    out.num_replaced += a.spec().text() != b.spec().text();
    const std::string why = why_outputs_differ(a, b);
    if (why.empty() || !out.lossless) continue;
    out.lossless = false;
    out.loss =
        old_norms[i].first + ": " + a.spec().text() + " does not become " + b.spec().text() + ": " + why;
  }
  return out;
}

// Copies all parameters that do not belong to norms.
void share_weights(const Model& from, const Model& to) {
  std::map<std::string, Tensor> weights;
  for (const ParamInfo& p : from.params()) weights[p.name] = p.tensor;
  std::set<std::string> norms;
  for (const auto& [name, norm] : to.norms()) norms.insert(name);
  for (const ParamInfo& p : to.params()) {
    if (!norms.contains(p.name.substr(0, p.name.rfind('.')))) Tensor(p.tensor).set_data(weights.at(p.name));
  }
}

// Errors (UserError): a gate that the model does not have. Any initial values of it would change the outputs.
void check_gates(const NormSites& from, const NormSites& to) {
  for (const auto& [site, spec] : to) {
    if (spec.gate_rank == 0 || spec.gate_rank == from[site.name].gate_rank) continue;
    throw UserError("norm." + site.name + ": gate_rank=" + std::to_string(spec.gate_rank) +
                    ": the model has no such gate, and a gate must be trained with it");
  }
}

json special_tokens(const fs::path& folder) {
  const fs::path path = folder / "config.json";
  const json config = parse_strict_json(read_file(path, kMaxFileBytes), path.string(), 16);
  json out = json::object();
  for (const char* key : {"bos_token_id", "eos_token_id", "pad_token_id"}) {
    if (config.contains(key)) out[key] = config[key];
  }
  return out;
}

}  // namespace

std::unique_ptr<Model> with_norms(const Model& from, const ModelConfig& to, Conversion* conversion) {
  const at::NoGradGuard no_grad;
  auto out = std::make_unique<Model>(to);
  share_weights(from, *out);
  const Conversion done = convert_norms(from, *out);
  if (conversion != nullptr) *conversion = done;
  return out;
}

Conversion convert(const fs::path& in, const fs::path& out, const NormSites& to) {
  const at::NoGradGuard no_grad;
  const std::unique_ptr<Model> old_model = load_model(in, Weights::kStored);
  check_gates(old_model->config().norms, to);
  Conversion result;
  std::unique_ptr<Model> new_model;
  try {
    ModelConfig config = old_model->config();
    config.norms = to;
    new_model = with_norms(*old_model, config, &result);
  } catch (const std::invalid_argument& error) {
    throw UserError(error.what());
  }
  NewFolder target(out);
  write_model(*new_model, target.path(), common_dtype(in), special_tokens(in));
  for (const char* name : kCopied) {
    if (fs::exists(in / name)) replace_file(target.path() / name, read_file(in / name, kMaxFileBytes));
  }
  target.commit();
  return result;
}

Conversion convert(const fs::path& in, const fs::path& out, const NormSpec& everywhere) {
  NormSites norms = read_hf_config(in).norms;
  norms.set_all(everywhere);
  return convert(in, out, norms);
}

}  // namespace seednorm::lab

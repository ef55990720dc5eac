// What parity_test.py runs.
//
// clang-format off
//   lab_hf_tool logits DIR TOKENS.json OUT.safetensors [float32|bfloat16] [stored]   [[ids of a row], ...] -> "logits"
//   lab_hf_tool save DIR OUT [float32|bfloat16|float16]                              load and save
//   lab_hf_tool make CONFIG.json OUT [noise]                                         a model with random weights
//   lab_hf_tool convert DIR OUT NORM
// clang-format on
#include <ATen/Functions.h>

#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>

#include "lab/base/error.h"
#include "lab/base/file.h"
#include "lab/language/interop/convert.h"
#include "lab/language/interop/hf_config.h"
#include "lab/language/interop/model_dir.h"

namespace seednorm::lab {
namespace {

constexpr size_t kMaxBytes = size_t{1} << 28;

at::ScalarType dtype_in(const std::string& name) {
  return name == "bfloat16" ? at::kBFloat16 : name == "float16" ? at::kHalf : at::kFloat;
}

void logits(const std::string& folder, const std::string& tokens, const std::string& out,
            const std::string& dtype, bool stored) {
  const auto rows =
      nlohmann::json::parse(read_file(tokens, kMaxBytes)).get<std::vector<std::vector<int64_t>>>();
  std::vector<at::Tensor> tensors;
  for (const auto& row : rows) tensors.push_back(at::tensor(row, at::kLong));
  const auto model = load_model(folder, stored ? Weights::kStored : Weights::kFloat32);
  model->set_dtype(dtype_in(dtype));
  const at::NoGradGuard no_grad;
  write_safetensors(out, {source_of("logits", model->logits(at::stack(tensors)))});
}

// With noise on what norms have, so that every part of them does something.
void make(const std::string& config, const std::string& out, bool noise) {
  const Model model(parse_hf_config(read_file(config, kMaxBytes), config), 1);
  const at::NoGradGuard no_grad;
  at::manual_seed(0);
  for (const ParamInfo& p : model.params()) {
    const bool of_norm = p.role == Role::kGain || p.role == Role::kDynamic;
    if (noise && of_norm) at::Tensor(p.tensor).add_(at::randn_like(p.tensor), 0.2);
  }
  save_model(model, out);
}

int run(const std::vector<std::string>& args) {
  const auto arg = [&](size_t i) { return i < args.size() ? args[i] : std::string(); };
  if (arg(0) == "logits") {
    logits(arg(1), arg(2), arg(3), arg(4), arg(5) == "stored");
  } else if (arg(0) == "save") {
    save_model(*load_model(arg(1)), arg(2), dtype_in(arg(3)));
  } else if (arg(0) == "make") {
    make(arg(1), arg(2), arg(3) == "noise");
  } else if (arg(0) == "convert") {
    const Conversion done = convert(arg(1), arg(2), NormSpec::parse(arg(3)));
    std::printf("%d %s\n", static_cast<int>(done.num_replaced), done.lossless ? "lossless" : "changed");
  } else {
    throw UserError("expected logits, save, make or convert");
  }
  return 0;
}

}  // namespace
}  // namespace seednorm::lab

int main(int argc, char** argv) {
  try {
    return seednorm::lab::run({argv + 1, argv + argc});
  } catch (const seednorm::lab::UserError& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}

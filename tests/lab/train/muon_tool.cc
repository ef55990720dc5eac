// What muon_parity_test.py runs:
//
//   lab_muon_tool IN.safetensors OUT.safetensors LR WEIGHT_DECAY [plain]
//
// takes a step of the tensor "param" for each of "gradient.0", "gradient.1", ... and writes "param" and
// "momentum". With `plain` it computes as on other devices than the CPU.
#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <optional>
#include <string>

#include "lab/nn/device.h"
#include "lab/tensors/safetensors.h"
#include "lab/train/muon.h"

namespace seednorm::lab {
namespace {

void run(const std::string& in, const std::string& out, double lr, double weight_decay, bool plain) {
  std::optional<PlainTensors> tensors;
  if (plain) tensors.emplace();
  const at::NoGradGuard no_grad;
  const TensorMap given = read_safetensors(in);
  const at::Tensor param = given.at("param").clone(), momentum = at::zeros_like(param);
  for (int i = 0; given.contains("gradient." + std::to_string(i)); ++i) {
    muon_step(param, given.at("gradient." + std::to_string(i)), momentum, lr, weight_decay, std::nullopt);
  }
  write_safetensors(out, {source_of("param", param), source_of("momentum", momentum)});
}

}  // namespace
}  // namespace seednorm::lab

int main(int argc, char** argv) {
  if (argc < 5) {
    std::fprintf(stderr, "usage: lab_muon_tool IN OUT LR WEIGHT_DECAY [plain]\n");
    return 2;
  }
  try {
    seednorm::lab::run(argv[1], argv[2], std::atof(argv[3]), std::atof(argv[4]),
                       argc > 5 && std::string(argv[5]) == "plain");
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}

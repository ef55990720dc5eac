// Computes with a model of a directory, for timm_models_parity_test.py:
//
//   lab_timm_tool IN OUT   reads the model IN, and `pixels` [N, S, S, 3] and `weights` [N, classes] of
//                          IN/inputs.safetensors; writes OUT/outputs.safetensors: `logits`, and the gradients
//                          of sum(logits * weights) under the parameters' names; saves the model in OUT
#include <ATen/TensorOperators.h>
#include <torch/csrc/autograd/autograd.h>

#include <cstdio>
#include <filesystem>

#include "lab/tensors/safetensors.h"
#include "lab/vision/interop/image_model_dir.h"

using namespace seednorm::lab;

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const std::filesystem::path in = argv[1], out = argv[2];
  try {
    const auto model = load_image_model(in);
    const TensorMap inputs = read_safetensors(in / "inputs.safetensors");
    const at::Tensor logits = model->logits(inputs.at("pixels").clone());
    torch::autograd::backward({(logits * inputs.at("weights").clone()).sum()});
    std::vector<TensorSource> outputs = {source_of("logits", logits.detach())};
    for (const ParamInfo& p : model->params()) outputs.push_back(source_of(p.name, p.tensor.grad()));
    write_safetensors(out / "outputs.safetensors", outputs);
    write_image_model(*model, read_image_model_file(in).preprocessing, out);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 2;
  }
  return 0;
}

// What generative_parity_test.py compares with other libraries:
//   lab_generative_tool dit|mae FOLDER IN OUT [COPY]
// loads the model of FOLDER, feeds it the tensors of IN, goes backward from the sum of output * IN's
// "weights", and writes the output and the gradients, under our names, to OUT. COPY is a new folder for the
// model.
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <torch/csrc/autograd/autograd.h>

#include <cstdio>
#include <filesystem>
#include <string>

#include "lab/tensors/safetensors.h"
#include "lab/vision/interop/dit_dir.h"
#include "lab/vision/interop/mae_dir.h"

namespace seednorm::lab {
namespace {

namespace fs = std::filesystem;

void write_results(const at::Tensor& output, const at::Tensor& weights, const std::vector<ParamInfo>& params,
                   std::vector<TensorSource> more, const fs::path& file) {
  torch::autograd::backward({(output * weights).sum()});
  more.push_back(source_of("output", output.detach()));
  for (const ParamInfo& p : params) {
    if (p.tensor.grad().defined()) more.push_back(source_of("grad." + p.name, p.tensor.grad().contiguous()));
  }
  write_safetensors(file, more);
}

void run(const std::string& kind, const fs::path& folder, const fs::path& in, const fs::path& out,
         const fs::path& copy) {
  const TensorMap given = read_safetensors(in);
  if (!copy.empty()) fs::create_directory(copy);
  if (kind == "dit") {
    const auto model = load_dit(folder);
    if (!copy.empty()) write_dit(*model, 1000, copy);
    const at::Tensor y = model->forward(given.at("x"), given.at("t"), given.at("labels"));
    return write_results(y, given.at("weights"), model->params(), {}, out);
  }
  const auto model = load_mae(folder);
  if (!copy.empty()) write_mae(*model, copy);
  const MaeConfig& c = model->config();
  const Masking masking = mask_by(given.at("noise"), c.num_kept());
  const at::Tensor y = model->forward(given.at("pixels"), masking);
  const at::Tensor loss =
      mae_loss(y, mae_targets(given.at("pixels"), c.patch_size, c.normalize_pixels), masking.mask);
  write_results(y, given.at("weights"), model->params(),
                {source_of("loss", loss.detach()), source_of("mask", masking.mask)}, out);
}

}  // namespace
}  // namespace seednorm::lab

int main(int argc, char** argv) {
  if (argc < 5) return 2;
  try {
    seednorm::lab::run(argv[1], argv[2], argv[3], argv[4], argc > 5 ? argv[5] : "");
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
}

// Steps of every model and workload by the code for other devices than the CPU: in plain tensors on the CPU,
// where they must agree with our kernels, and on the meta device, where every tensor must be made in the
// right place and no number may be waited for.
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <cstdlib>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "lab/nn/device.h"
#include "lab/recipes/recipe.h"
#include "lab/recipes/workloads.h"
#include "lab/train/weight_average.h"
#include "tests/lab/meta_device.h"

namespace seednorm::lab {
namespace {

using at::Tensor;

struct Step {
  std::string name, recipe;
  std::vector<std::string> settings;
};
std::ostream& operator<<(std::ostream& out, const Step& step) { return out << step.name; }

std::vector<std::string> joined(std::vector<std::string> a, const std::vector<std::string>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

const std::vector<std::string> kText = {"vocab_size=50", "context=16",   "dim=32",
                                        "num_layers=2",  "num_heads=4",  "num_kv_heads=2",
                                        "ffn_dim=24",    "batch_size=3", "init_std=0.2"};
const std::vector<std::string> kExperts = joined(kText, {"num_experts=8", "top_k=3"});
const std::vector<std::string> kPictures = {"batch_size=3", "norm=seed_norm(num_heads=2, dot_scale=1/d)"};
const std::vector<std::string> kVit =
    joined(kPictures, {"image_size=12", "patch_size=4", "dim=32", "num_layers=2", "num_heads=2", "ffn_dim=48",
                       "drop_path=0.5"});
const std::vector<std::string> kMae =
    joined(kPictures, {"image_size=16", "patch_size=4", "dim=32", "num_layers=2", "num_heads=2", "ffn_dim=48",
                       "decoder_dim=16", "decoder_layers=1", "decoder_heads=2", "decoder_ffn_dim=32"});
const std::vector<std::string> kDit =
    joined(kPictures, {"input_size=12", "patch_size=3", "dim=32", "num_layers=2", "num_heads=2", "ffn_dim=48",
                       "num_classes=5", "zero_init=false"});

const std::vector<Step> kSteps = {
    {"olmo2", "olmo2-3m", joined(kText, {"norm=seed_norm(num_heads=4)"})},
    {"olmo2_untied", "olmo2-3m",
     joined(kText, {"norm=rms_norm", "tied=false", "embedding_scale=true", "qk_norm_per_head=false"})},
    {"olmo2_frac", "olmo2-3m", joined(kText, {"norm=seed_norm", "frac_rate=2"})},
    {"olmo2_peri", "olmo2-3m",
     joined(kText, {"norm=seed_norm", "norm_placement=peri", "norm_depth_scaling=true"})},
    {"olmo2_gated", "olmo2-3m", joined(kText, {"norm=seed_norm(gate_rank=4)", "norm_placement=pre"})},
    {"olmoe", "olmoe-3m", joined(kExperts, {"norm=seed_norm(num_heads=4)"})},
    {"olmoe_normalized", "olmoe-3m",
     joined(kExperts, {"norm=layer_norm", "norm_topk_prob=true", "frac_rate=2"})},
    {"olmoe_post", "olmoe-3m", joined(kExperts, {"norm=rms_norm", "norm_placement=post"})},
    {"vit", "vit-micro", kVit},
    {"vit_dropout", "vit-micro", joined(kVit, {"norm=seed_norm(dropout=0.25)", "ema_decay=0.9"})},
    {"convnext", "convnext-micro",
     joined(kPictures, {"image_size=16", "patch_size=2", "stage_layers=1,1", "stage_dims=16,32",
                        "drop_path=0.5", "layer_scale=0.5"})},
    {"mae", "mae-micro", kMae},
    {"dit", "dit-micro", kDit},
    {"dit_ada", "dit-micro", joined(kDit, {"norm=ada_seed_norm(num_heads=2)"})},
    {"dit_dyt", "dit-micro", joined(kDit, {"norm=dyt"})},
};

std::unique_ptr<Workload> workload_of(const Step& step, const std::vector<std::string>& more = {}) {
  Recipe recipe = load_recipe(step.recipe);
  apply_settings(recipe, step.settings);
  apply_settings(recipe, more);
  at::manual_seed(1);  // of the data of a benchmark
  return make_workload(recipe, Purpose::kBenchmark);
}

Batch batch_of(const Workload& workload) {
  at::manual_seed(2);
  return workload.batch(0, {.first = 0, .count = 3});
}

// The parts of the loss, then the gradient of each parameter.
std::vector<Tensor> results_of(Workload& workload, const Batch& batch) {
  for (const ParamInfo& p : workload.params()) p.tensor.mutable_grad().reset();
  const Loss loss = workload.loss(batch, 0.5);
  torch::autograd::backward({loss.total});
  std::vector<Tensor> out;
  for (const auto& [name, value] : loss.parts) out.push_back(value.detach());
  for (const ParamInfo& p : workload.params()) out.push_back(p.tensor.grad());
  return out;
}

// Gradients of SeeDNorm's beta would be 0 at the initial values, where alpha's are: all parameters get noise.
void stir(const Workload& workload) {
  const at::NoGradGuard no_grad;
  at::manual_seed(3);
  for (const ParamInfo& p : workload.params()) Tensor(p.tensor).add_(at::randn(p.tensor.sizes()), 0.1);
}

class OtherDevices : public testing::TestWithParam<Step> {};

// Each of the ten sums in a row that a number passes from the pixels to the loss and back has at most 1,000
// terms, with errors of eps sqrt(1,000) / 2 of their size; the sizes of terms exceed that of the largest
// result by less than 50.
TEST_P(OtherDevices, PlainTensorsAgreeWithOurKernels) {
  const auto workload = workload_of(GetParam());
  stir(*workload);
  const Batch batch = batch_of(*workload);
  const std::vector<Tensor> want = results_of(*workload, batch);
  const PlainTensors plain;
  const std::vector<Tensor> got = results_of(*workload, batch);
  ASSERT_EQ(want.size(), got.size());
  for (size_t i = 0; i < want.size(); ++i) {
    ASSERT_EQ(want[i].defined(), got[i].defined()) << i;
    if (!want[i].defined()) continue;
    const double error = (got[i] - want[i]).abs().max().item<double>(),
                 size = want[i].abs().max().item<double>();
    EXPECT_TRUE(error <= 5e-4 * size) << "result " << i << ": " << error << " of " << size;
    if (std::getenv("SEEDNORM_SHOW"))
      std::printf("RATIO %s %zu %g\n", GetParam().name.c_str(), i, error / size);
  }
}

TEST_P(OtherDevices, ABenchmarkHasTheSameDataInEveryStep) {
  const auto workload = workload_of(GetParam());
  const RowRange rows = {.first = 1, .count = 2};
  EXPECT_TRUE(at::equal(workload->batch(0, rows).tensors[0], workload->batch(1, rows).tensors[0]));
}

TEST_P(OtherDevices, AStepRunsOnTheMetaDevice) {
  for (const std::string dtype : {"float32", "bfloat16"}) {
    for (const std::string again : {"false", "true"}) {
      const auto workload = workload_of(GetParam(), {"dtype=" + dtype, "checkpointing=" + again});
      const Batch batch = batch_of(*workload).moved_to(at::kMeta);
      move_to_meta(workload->module());
      for (const Tensor& result : results_of(*workload, batch)) {
        EXPECT_TRUE(result.defined() && result.is_meta());
      }
      if (WeightAverage* average = workload->weight_average()) average->update(0);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Steps, OtherDevices, testing::ValuesIn(kSteps),
                         [](const auto& info) { return info.param.name; });

TEST(MetaDevice, FindsATensorOfTheCpu) {
  const auto workload = workload_of(kSteps[0]);
  move_to_meta(workload->module());
  EXPECT_THROW(workload->loss(batch_of(*workload), 1), std::exception);
}

}  // namespace
}  // namespace seednorm::lab

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include "lab/vision/diffuse/sampler.h"
#include "lab/vision/diffuse/workload.h"
#include "lab/vision/interop/dit_dir.h"
#include "tests/lab/vision/picture_runs.h"

namespace seednorm::lab {
namespace {

class DiffuseRuns : public PictureRuns {
 protected:
  Recipe small(const std::vector<std::string>& more = {}) const {
    return recipe("dit-micro",
                  {"input_size=12", "patch_size=3", "dim=16", "num_layers=2", "num_heads=2", "ffn_dim=24",
                   "lr=1e-2", "sample_count=4", "sample_steps=3"},
                  more);
  }
};

TEST_F(DiffuseRuns, TrainsMeasuresAndShows) {
  const RunResult result = run(small({"norm=ada_seed_norm", "steps=60", "eval_every=0"}), "a");
  EXPECT_FALSE(result.diverged);
  const auto lines = metrics("a");
  ASSERT_EQ(lines.size(), 61U);
  // A new model predicts nothing: the error is that of the noise itself, 1,728 squares.
  const double mse = lines[0].at("mse"), bound = lines[0].at("bound"), loss = lines[0].at("loss");
  EXPECT_TRUE(std::abs(mse - 1) <= 0.15);
  EXPECT_TRUE(bound > 0 && std::abs(mse + bound - loss) <= 1e-6 * loss);
  EXPECT_LT(result.value("val_mse"), 0.9);
  EXPECT_EQ(lines[60].at("valid").at("images"), 9);
  EXPECT_TRUE(lines[60].at("samples").at(0).at("image").get<std::string>().starts_with("iVBORw0KGgo"));
}

TEST_F(DiffuseRuns, ResumedEqualsUninterrupted) {
  expect_resumes(small({"norm=ada_seed_norm(num_heads=4)"}),
                 {"model.safetensors", "optimizer.safetensors", "average.safetensors"});
}

TEST_F(DiffuseRuns, RowsStandAlone) { expect_rows_alone(*make_workload(small())); }

TEST_F(DiffuseRuns, MicroBatchesAreOneBatch) {
  run(small({"steps=2"}), "whole");
  run(small({"steps=2", "micro_batch_size=2"}), "parts");
  for (const size_t step : {0, 1}) {
    const double a = metrics("whole")[step].at("grad_norm"), b = metrics("parts")[step].at("grad_norm");
    EXPECT_TRUE(std::abs(a - b) <= 1e-5 * a);
  }
}

// All norms see the same pictures, labels, steps and noise.
TEST_F(DiffuseRuns, BatchesDoNotDependOnTheNorm) {
  const auto a = make_workload(small({"norm=layer_norm", "seed=1"})),
             b = make_workload(small({"norm=ada_seed_norm", "seed=2"}));
  const Batch x = a->batch(2, {.first = 0, .count = 4}), y = b->batch(2, {.first = 0, .count = 4});
  for (size_t i = 0; i < x.tensors.size(); ++i) EXPECT_TRUE(at::equal(x.tensors[i], y.tensors[i])) << i;
}

TEST_F(DiffuseRuns, LabelsAreLeftOutNowAndThen) {
  const auto labels = [&](const char* setting) {
    const auto workload = make_workload(small({setting, "cfg_scale=1"}));
    std::vector<at::Tensor> all;
    for (int64_t step = 0; step < 100; ++step) {
      all.push_back(workload->batch(step, {.first = 0, .count = 4}).tensors[1]);
    }
    return at::cat(all);
  };
  EXPECT_EQ((labels("label_dropout=0") == kClasses).sum().item<int64_t>(), 0);
  EXPECT_EQ((labels("label_dropout=1") != kClasses).sum().item<int64_t>(), 0);
  const auto left_out = (labels("label_dropout=0.1") == kClasses).sum().item<int64_t>();
  EXPECT_TRUE(left_out >= 20 && left_out <= 65) << left_out;  // 40 of 400, with a deviation of 6
}

TEST_F(DiffuseRuns, SamplesFromACheckpoint) {
  run(small({"norm=seed_norm"}), "a");
  const auto folder = std::filesystem::path(folder_ / "a/checkpoints/step-00000006");
  const std::shared_ptr<Dit> model = load_dit(folder);
  const std::vector<int64_t> labels = {0, 1, 2, 3, 0};
  const at::Tensor all = sample_pictures(*model, labels, {.steps = 3});
  ASSERT_EQ(all.sizes(), (std::vector<int64_t>{5, 12, 12, 3}));
  // Whatever the others are: rounding alone may differ, since sums of other sizes have other orders.
  const at::Tensor parts = sample_pictures(*model, labels, {.steps = 3, .rows = 2});
  EXPECT_TRUE((all - parts).abs().max().item<float>() <= 1e-3F);
  EXPECT_TRUE(at::equal(all, sample_pictures(*model, labels, {.steps = 3})));
  EXPECT_FALSE(at::equal(all, sample_pictures(*model, labels, {.steps = 3, .seed = 1})));
  // Guidance and weights matter.
  EXPECT_GT((all - sample_pictures(*model, labels, {.steps = 3, .cfg_scale = 1})).abs().max().item<float>(),
            1e-4F);
  load_dit_weights(*model, folder / "average.safetensors");
  EXPECT_GT((all - sample_pictures(*model, labels, {.steps = 3})).abs().max().item<float>(), 1e-4F);
  EXPECT_THROW(sample_pictures(*model, {4}, {.steps = 3}), std::invalid_argument);
  EXPECT_THROW(sample_pictures(*model, {0}, {.steps = 1}), std::invalid_argument);
}

TEST(Sampler, BytesAreThoseOfDit) {
  const at::Tensor x = at::tensor(std::vector<float>{-2, -1, 0, 0.5, 1, 2});
  EXPECT_TRUE(
      at::equal(sampled_bytes(x), at::tensor(std::vector<int64_t>{0, 0, 128, 191, 255, 255}).to(at::kByte)));
  const std::vector<int64_t> labels = random_labels(100, 10, 3);
  EXPECT_EQ(labels, random_labels(100, 10, 3));
  EXPECT_NE(labels, random_labels(100, 10, 4));
  for (const int64_t label : labels) EXPECT_TRUE(label >= 0 && label < 10);
}

TEST_F(DiffuseRuns, NamesMistakes) {
  EXPECT_EQ(user_error([&] { make_workload(small({"num_classes=7"})); }),
            "num_classes: " + folder_ / "train" + " has 3 classes, the model 7");
  EXPECT_EQ(user_error([&] { make_workload(small({"channels=4"})); }),
            "channels: expected 3, those of pictures, got 4; latents cannot be read yet");
  EXPECT_EQ(user_error([&] { make_workload(small({"sample_steps=1001"})); }),
            "diffusion_steps, sample_steps: steps of sampling: expected 2 to 1000, got 1001");
  EXPECT_EQ(user_error([&] { make_workload(small({"label_dropout=0"})); }),
            "cfg_scale: expected 1, since label_dropout is 0, got 1.5");
}

}  // namespace
}  // namespace seednorm::lab

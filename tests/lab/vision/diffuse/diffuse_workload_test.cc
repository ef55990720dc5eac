#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include "lab/vision/diffuse/sampler.h"
#include "lab/vision/diffuse/workload.h"
#include "lab/vision/interop/dit_dir.h"
#include "lab/vision/pictures/latent_set.h"
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
            "sample_count: expected 0, as latents cannot be shown, got 4");
  EXPECT_TRUE(user_error([&] {
                make_workload(small({"channels=4", "sample_count=0"}));
              }).ends_with("train/class0: has no latents; expected .npz or .safetensors files"));
  EXPECT_EQ(user_error([&] { make_workload(small({"sample_steps=1001"})); }),
            "diffusion_steps, sample_steps: steps of sampling: expected 2 to 1000, got 1001");
  EXPECT_EQ(user_error([&] { make_workload(small({"label_dropout=0"})); }),
            "cfg_scale: expected 1, since label_dropout is 0, got 1.5");
}

// Latents of 4 channels, of which each class has one file.
class LatentRuns : public DiffuseRuns {
 protected:
  LatentRuns() {
    for (const auto& [name, each] : {std::pair{"latents", 5}, {"measured", 3}}) {
      for (int c = 0; c < kClasses; ++c) write_moments(name, c, each, {8, 12, 12});
    }
  }

  void write_moments(const std::string& set, int label, int64_t count, std::vector<int64_t> shape,
                     bool mirrored = true) const {
    const auto folder = std::filesystem::path(folder_ / set) / ("class" + std::to_string(label));
    std::filesystem::create_directories(folder);
    shape.insert(shape.begin(), count);
    std::vector<TensorSource> tensors;
    for (const char* name : {"moments", "moments_flip"}) {
      const auto seed = static_cast<uint64_t>(label * 2 + count + (*(name + 7) != '\0'));
      tensors.push_back(
          source_of(name, at::randn(shape, at::detail::createCPUGenerator(seed), at::kFloat).to(at::kHalf)));
    }
    if (!mirrored) tensors.pop_back();
    write_safetensors(folder / "part.safetensors", tensors);
  }

  Recipe of_latents(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> settings = {"channels=4", "sample_count=0", "norm=ada_seed_norm",
                                         "train_data=" + folder_ / "latents",
                                         "valid_data=" + folder_ / "measured"};
    settings.insert(settings.end(), more.begin(), more.end());
    return small(settings);
  }
};

TEST_F(LatentRuns, TrainsAndResumes) {
  expect_resumes(of_latents(), {"model.safetensors", "optimizer.safetensors", "average.safetensors"});
  const nlohmann::json last = metrics("whole").back();
  EXPECT_EQ(last.at("valid").at("images"), 9);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "whole/first_batch.png"));
  expect_rows_alone(*make_workload(of_latents()));
}

// A sample of the distribution that the moments tell, times the factor, with channels last.
TEST_F(LatentRuns, AreSampledFromTheirMoments) {
  const at::Tensor noise = at::randn({4, 3, 3}), mean = at::randn({4, 3, 3}),
                   variance = at::rand({4, 3, 3}) + 0.1;
  const at::Tensor z = sampled_latent(at::cat({mean, variance.log()}), noise, 0.5);
  const at::Tensor expected = (mean + variance.sqrt() * noise) / 2;
  EXPECT_TRUE((z - expected.permute({1, 2, 0})).abs().max().item<float>() <= 1e-5F);
  EXPECT_TRUE(
      sampled_latent(at::full({2, 1, 1}, 1e4F), at::ones({1, 1, 1}), 1).isfinite().all().item<bool>());

  // Over many steps each latent's mean is that of its moments: logarithms of 0 make deviations of 1.
  const auto folder = std::filesystem::path(folder_ / "known");
  for (int c = 0; c < kClasses; ++c) {
    const auto place = folder / ("class" + std::to_string(c));
    std::filesystem::create_directories(place);
    const at::Tensor means = at::full({1, 4, 12, 12}, 10.0F * static_cast<float>(c));
    write_safetensors(place / "a.safetensors",
                      {source_of("moments", at::cat({means, at::zeros_like(means)}, 1)),
                       source_of("moments_flip", at::cat({-means, at::zeros_like(means)}, 1))});
  }
  const auto workload =
      make_workload(of_latents({"train_data=" + folder.string(), "valid_data=" + folder_ / "measured",
                                "latent_scale=0.5", "label_dropout=0", "cfg_scale=1"}));
  int mirrored = 0;
  double squares = 0;
  for (int64_t step = 0; step < 30; ++step) {
    const Batch batch = workload->batch(step, {.first = 0, .count = 4});
    ASSERT_EQ(batch.tensors[0].sizes(), (std::vector<int64_t>{4, 12, 12, 4}));
    for (int64_t row = 0; row < 4; ++row) {
      const double label = batch.tensors[1][row].item<double>();
      const double middle = batch.tensors[0][row].mean().item<double>();
      // 576 numbers of deviation 0.5.
      EXPECT_TRUE(std::abs(std::abs(middle) - 5 * label) <= 0.12) << middle << " of class " << label;
      mirrored += middle < -1;
      squares += (batch.tensors[0][row] - middle).pow(2).mean().item<double>() / 120;
    }
  }
  EXPECT_TRUE(std::abs(squares - 0.25) <= 0.01) << squares;
  EXPECT_TRUE(mirrored >= 25 && mirrored <= 55) << mirrored << " of 80";
}

TEST_F(LatentRuns, NamesMistakes) {
  const auto message = [&](const std::vector<std::string>& more) {
    return user_error([&] {
      const auto workload = make_workload(of_latents(more));
      for (int64_t step = 0; step < 4; ++step) workload->batch(step, {.first = 0, .count = 4});
    });
  };
  EXPECT_TRUE(message({"valid_data="}).starts_with("valid_data: expected a folder with a folder of latents"));
  EXPECT_TRUE(message({"valid_data=" + folder_ / "latents"}).find("is the training set itself") !=
              std::string::npos);
  EXPECT_TRUE(message({"train_data=" + folder_ / "nowhere"}).ends_with("nowhere: no such folder"));
  write_moments("wrong", 0, 2, {8, 12, 11});
  EXPECT_TRUE(
      message({"train_data=" + folder_ / "wrong"})
          .ends_with("class0/part.safetensors: moments has the shape [8, 12, 11] for a picture; expected "
                     "moments of [8, 12, 12] numbers for each picture"));
  write_moments("plain", 0, 2, {8, 12, 12}, /*mirrored=*/false);
  for (int c = 1; c < kClasses; ++c) write_moments("plain", c, 2, {8, 12, 12}, /*mirrored=*/false);
  EXPECT_TRUE(message({"train_data=" + folder_ / "plain"}).find("which flip=0 does without") !=
              std::string::npos);
  make_workload(of_latents({"train_data=" + folder_ / "plain", "flip=0"}))
      ->batch(0, {.first = 0, .count = 4});
  write_moments("fewer", 0, 2, {8, 12, 12});
  EXPECT_TRUE(message({"train_data=" + folder_ / "fewer"}).find("has other classes than") !=
              std::string::npos);
}

}  // namespace
}  // namespace seednorm::lab

// The workload "classify": from folders of pictures to Acc@1, by the shared code of training.
#include "lab/vision/classify/workload.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <map>
#include <sstream>

#include "lab/base/file.h"
#include "lab/recipes/recipe.h"
#include "lab/recipes/workloads.h"
#include "lab/train/run.h"
#include "lab/vision/classify/accuracy.h"
#include "lab/vision/data/encode_png.h"
#include "tests/lab/support.h"

namespace seednorm::lab {
namespace {

namespace fs = std::filesystem;
using at::Tensor;

constexpr int kSide = 8, kClasses = 6;

// Bright where its class says, with noise of its own.
Image picture(int label, uint32_t seed) {
  Image out(kSide, kSide);
  for (int y = 0; y < kSide; ++y) {
    for (int x = 0; x < kSide; ++x) {
      for (int c = 0; c < 3; ++c) {
        seed = seed * 1664525 + 1013904223;
        const bool bright = label < 3 ? c == label : (x < kSide / 2) == (label == 3) || (label == 5 && y > 3);
        out.row(y)[3 * x + c] = static_cast<uint8_t>((bright ? 150 : 30) + (seed >> 24) % 60);
      }
    }
  }
  return out;
}

class ClassifyTest : public testing::Test {
 protected:
  ClassifyTest() {
    make_set("train", 12, 1);
    make_set("valid", 5, 1000);
  }

  void make_set(const std::string& set, int per_class, uint32_t seed) {
    for (int label = 0; label < kClasses; ++label) {
      const fs::path folder = fs::path(folder_ / set) / ("class" + std::to_string(label));
      fs::create_directories(folder);
      for (int i = 0; i < per_class; ++i) {
        write((folder / (std::to_string(i) + ".png")).string(), encode_png(picture(label, seed++ * 7919)));
      }
    }
  }

  Recipe recipe(const std::vector<std::string>& more = {}) const {
    Recipe r = load_recipe("vit-digits");
    for (const std::string& s : std::vector<std::string>{
             "dim=16", "num_layers=2", "num_heads=2", "ffn_dim=32", "batch_size=8", "steps=6",
             "warmup_images=16", "norm=seed_norm(num_heads=4)", "drop_path=0.3", "mixup=0.8", "cutmix=1",
             "rand_augment=rand-m9-mstd0.5-inc1", "erase=0.25", "train_data=" + folder_ / "train",
             "valid_data=" + folder_ / "valid", "eval_every=2", "checkpoint_every=3"}) {
      apply_setting(r, s);
    }
    apply_settings(r, more);
    return r;
  }

  static std::vector<std::string> convnext() {
    return {"family=convnext", "stage_layers=1,1", "stage_dims=8,16", "patch_size=2",
            "norm=seed_norm(num_heads=4)"};
  }

  std::unique_ptr<Workload> workload(const std::vector<std::string>& more = {}) const {
    return make_workload(recipe(more));
  }

  RunResult run(const Recipe& r, const std::string& name, bool resume = false) const {
    RunSpec spec = run_spec(r, folder_ / name);
    spec.resume = resume;
    return train_run(spec);
  }

  std::vector<nlohmann::json> metrics(const std::string& name) const {
    std::stringstream text(read_file(fs::path(folder_ / name) / "metrics.jsonl", 1 << 20));
    std::vector<nlohmann::json> lines;
    for (std::string line; std::getline(text, line);) {
      lines.push_back(nlohmann::json::parse(line));
      lines.back().erase("seconds");
    }
    return lines;
  }

  std::string file(const std::string& run, const std::string& name) const {
    return read_file(fs::path(folder_ / run) / "checkpoints" / "step-00000006" / name, 1 << 24);
  }

  TestFolder folder_;
};

TEST_F(ClassifyTest, LearnsAndMeasuresBothWeights) {
  for (const std::vector<std::string>& family : {std::vector<std::string>{}, convnext()}) {
    std::vector<std::string> settings = family;
    for (const char* s : {"steps=60", "lr=1e-2", "mixup=0", "cutmix=0", "rand_augment=", "erase=0",
                          "drop_path=0", "layer_scale=0.1", "ema_decay=0.9"}) {
      settings.emplace_back(s);
    }
    const std::string name = family.empty() ? "vit" : "convnext";
    const RunResult result = run(recipe(settings), name);
    EXPECT_EQ(result.units, 60 * 8) << name;
    for (const char* metric : {"acc1", "ema_acc1"}) EXPECT_GE(result.value(metric), 60) << name << metric;
    EXPECT_GE(result.value("acc5"), result.value("acc1"));
    EXPECT_GT(result.value("val_loss"), 0);
    std::vector<std::string> metrics;
    for (const MetricInfo& m : result.info.metrics) {
      metrics.push_back(m.name);
      EXPECT_EQ(m.lower_is_better, m.name.find("acc") == std::string::npos) << m.name;
    }
    EXPECT_EQ(metrics, (std::vector<std::string>{"ema_acc1", "ema_acc5", "best_ema_acc1", "ema_val_loss",
                                                 "acc1", "acc5", "best_acc1", "val_loss", "train_loss"}));
  }
}

// With everything that draws random numbers, on another number of workers.
TEST_F(ClassifyTest, ResumedEqualsUninterrupted) {
  std::map<std::string, std::vector<std::string>> families = {
      {"vit", {"norm=seed_norm(num_heads=4, dropout=0.3)"}}, {"convnext", convnext()}};
  for (const std::string norm : {"batch_norm", "switchable_norm"}) {
    families[norm] = convnext();
    families[norm].back() = "norm=" + norm;
  }
  for (const auto& [whole, family] : families) {
    const std::string cut = whole + "-cut";
    Recipe r = recipe(family);
    run(r, whole);
    run(r, cut);
    fs::remove_all(folder_ / (cut + "/checkpoints/step-00000006"));
    apply_setting(r, "workers=3");
    EXPECT_EQ(run(r, cut, /*resume=*/true).steps, 6);
    EXPECT_EQ(metrics(cut), metrics(whole));
    for (const char* name : {"model.safetensors", "average.safetensors", "optimizer.safetensors"}) {
      EXPECT_EQ(file(cut, name), file(whole, name)) << whole << " " << name;
    }
    EXPECT_NE(file(whole, "model.safetensors"), file(whole, "average.safetensors"));
  }
}

TEST_F(ClassifyTest, ACheckpointIsAModelDirectory) {
  run(recipe(), "run");
  const auto model = load_image_model(folder_ / "run/checkpoints/step-00000006");
  const auto same = workload();
  same->load(folder_ / "run/checkpoints/step-00000006");
  const auto theirs = same->module().named_parameters();
  for (const ParamInfo& p : model->params()) EXPECT_TRUE(at::equal(p.tensor, theirs[p.name])) << p.name;
  EXPECT_EQ(model->config().norms["block"].text(), "seed_norm(num_heads=4)");
}

// The statistics of BatchNorm are part of the model, and averaged as the weights are.
TEST_F(ClassifyTest, ACheckpointHasTheStatisticsOfBatchNorm) {
  std::vector<std::string> settings = convnext();
  settings.back() = "norm=batch_norm";
  const RunResult result = run(recipe(settings), "run");
  const fs::path folder = folder_ / "run/checkpoints/step-00000006";
  const auto set = open_image_set(folder_ / "valid", {.is_test = true});
  for (const auto& [weights, metric] :
       {std::pair{"model.safetensors", "val_loss"}, {"average.safetensors", "ema_val_loss"}}) {
    const auto model = load_image_model(folder, weights);
    const AccuracyOptions options = {.augment =
                                         recipe(settings).config_as<ClassifyConfig>().evaluation_augment()};
    EXPECT_NEAR(measure_accuracy(*model, *set, options).loss(), result.value(metric), 1e-6) << weights;
    for (const ParamInfo& p : model->state()) {
      if (p.name.ends_with("running_mean")) {
        EXPECT_NE(p.tensor.abs().max().item<float>(), 0) << p.name;
      }
    }
  }
}

TEST_F(ClassifyTest, BatchesAreTheSameForAllNormsAndMicroBatches) {
  const auto a = workload(), b = workload({"norm=dyt", "workers=2", "seed=7", "micro_batch_size=4"});
  const Batch whole = a->batch(3, {.first = 0, .count = 8});
  ASSERT_EQ(whole.tensors[0].sizes(), (std::vector<int64_t>{8, kSide, kSide, 3}));
  ASSERT_EQ(whole.tensors[1].sizes(), (std::vector<int64_t>{8, kClasses}));
  // Each picture's shares of the classes add up to 1.
  EXPECT_TRUE((whole.tensors[1].sum(1) - 1).abs().max().item<double>() <= 1e-6);
  for (const int64_t first : {0, 4}) {
    const Batch half = b->batch(3, {.first = first, .count = 4});
    EXPECT_EQ(half.first_row, first);
    for (int i : {0, 1}) EXPECT_TRUE(at::equal(half.tensors[i], whole.tensors[i].narrow(0, first, 4)));
  }
  EXPECT_FALSE(at::equal(a->batch(4, {.first = 0, .count = 8}).tensors[0], whole.tensors[0]));
}

TEST_F(ClassifyTest, MicroBatchesGiveTheGradientOfTheBatch) {
  const auto a = workload(), b = workload({"micro_batch_size=4"});
  const Loss whole = a->loss(a->batch(1, {.first = 0, .count = 8}), 1);
  torch::autograd::backward({whole.total});
  double sum = 0;
  for (const int64_t first : {0, 4}) {
    const Loss half = b->loss(b->batch(1, {.first = first, .count = 4}), 0.5);
    sum += half.parts[0].second.item<double>();
    torch::autograd::backward({half.total});
  }
  // Float32's rounding of numbers of size 1, in another order.
  EXPECT_TRUE(std::abs(sum - whole.total.item<double>()) <= 1e-5);
  const auto theirs = b->module().named_parameters();
  for (const ParamInfo& p : a->params()) {
    const double largest = p.tensor.grad().abs().max().item<double>();
    const double error = (p.tensor.grad() - theirs[p.name].grad()).abs().max().item<double>();
    EXPECT_TRUE(error <= 1e-5 * std::max(largest, 1e-2)) << p.name;
  }
}

TEST_F(ClassifyTest, ASubsetIsEvenlySpaced) {
  const auto w = workload({"eval_rows=6"});
  const auto probe = std::move(w->probes()[0]);
  // One of each class, whatever their order in the set.
  EXPECT_EQ(probe->run(Group::alone()).line.at("accuracy").at("weights").at("images"), 6);
}

// Over the whole run, also of its part before it was resumed.
TEST_F(ClassifyTest, TheBestAccuracyIsKept) {
  run(recipe({"lr=1e-2", "steps=12", "mixup=0", "cutmix=0", "eval_every=2"}), "run");
  double best = 0, last = 0;
  for (const nlohmann::json& line : metrics("run")) {
    if (!line.contains("metrics")) continue;
    last = line["metrics"]["acc1"];
    best = std::max(best, last);
    EXPECT_EQ(line["metrics"]["best_acc1"], best);
  }
  const auto w = workload();
  const auto probe = std::move(w->probes()[0]);
  const auto best_of = [&](const char* name) {
    for (const auto& [metric, value] : probe->run(Group::alone()).values) {
      if (metric == name) return value;
    }
    return -1.0;
  };
  probe->recall({{"loss", 1}});
  probe->recall({{"metrics", {{"acc1", 99.5}}}});
  probe->recall({{"metrics", {{"acc1", 12}}}});
  probe->recall(nullptr);
  EXPECT_EQ(best_of("best_acc1"), 99.5);
  EXPECT_TRUE(best_of("best_ema_acc1") < 99.5);
}

// A run that was stopped tells its probes what it had measured.
TEST_F(ClassifyTest, TheBestAccuracySurvivesAPause) {
  const Recipe r = recipe({"eval_every=1"});
  run(r, "run");
  fs::remove_all(folder_ / "run/checkpoints/step-00000006");
  const fs::path log = fs::path(folder_ / "run") / "metrics.jsonl";
  std::string text = read_file(log, 1 << 20);
  // The measurement after step 1, of the same length, so that the checkpoint's sizes still hold.
  const std::string key = "\"metrics\":{\"ema_acc1\":";
  const size_t at = text.find(key) + key.size();
  const size_t length = text.find(',', at) - at;
  text.replace(at, length, std::string(length, '9'));
  write(log.string(), text);
  const double best = run(r, "run", /*resume=*/true).value("best_ema_acc1");
  EXPECT_TRUE(best >= 0.99 * std::pow(10, length)) << best << " with " << length << " digits";
}

// The pictures that training sees, as many as a million pixels.
TEST_F(ClassifyTest, TheFirstBatchIsAPicture) {
  run(recipe(), "run");
  const std::string png = read_file(fs::path(folder_ / "run") / "first_batch.png", 1 << 20);
  EXPECT_EQ(decode_image(png, "first_batch.png").width(), 3 * kSide + 2 * 2)
      << "eight pictures, three in a row";
  const auto other = workload({"norm=dyt", "seed=3", "workers=2"});
  EXPECT_EQ(other->first_batch_png(), png);
  EXPECT_NE(workload({"data_seed=1"})->first_batch_png(), other->first_batch_png());
}

TEST_F(ClassifyTest, CountsOfClassesAddUp) {
  const auto w = workload();
  const auto line = w->probes()[0]->run(Group::alone()).line;
  for (const char* weights : {"weights", "average"}) {
    const auto& of = line.at("accuracy").at(weights);
    int64_t images = 0, right = 0;
    ASSERT_EQ(of.at("classes").size(), kClasses);
    for (const auto& [name, counts] : of.at("classes").items()) {
      images += counts[0].get<int64_t>();
      right += counts[1].get<int64_t>();
    }
    EXPECT_EQ(images, of.at("images"));
    EXPECT_EQ(right, of.at("top1"));
  }
}

TEST(Accuracy, RankOfTheLabel) {
  const std::vector<float> logits = {1, 3, 3, 2};
  EXPECT_EQ(rank_of(logits, 1), 0);
  EXPECT_EQ(rank_of(logits, 2), 1) << "of equal ones the lowest first";
  EXPECT_EQ(rank_of(logits, 3), 2);
  EXPECT_EQ(rank_of(logits, 0), 3);
  EXPECT_EQ(rank_of(std::vector<float>{1, std::nanf(""), 0}, 0), 3) << "a row with NaN is wrong";
}

TEST_F(ClassifyTest, DamagedPicturesAreNamedAndMayBeSkipped) {
  write(folder_ / "train/class2/3.png", "no picture");
  const std::string message = user_error([&] { run(recipe({"steps=9"}), "refused"); });  // every picture once
  EXPECT_NE(message.find("class2/3.png"), std::string::npos) << message;
  write(folder_ / "valid/class0/1.png", "none either");
  const RunResult result = run(recipe({"skip_damaged=true", "steps=10"}), "skipped");
  EXPECT_EQ(result.steps, 10);
  EXPECT_EQ(result.measured.at("accuracy").at("weights").at("images"), kClasses * 5 - 1);
  EXPECT_EQ(result.measured.at("accuracy").at("weights").at("damaged"), 1);
}

TEST_F(ClassifyTest, MistakesAreNamed) {
  const auto message = [&](const std::vector<std::string>& settings) {
    return user_error([&] { workload(settings)->probes(); });
  };
  EXPECT_TRUE(message({"train_data="}).starts_with("train_data: no pictures given"));
  EXPECT_TRUE(message({"num_classes=5"}).starts_with("num_classes: "));
  EXPECT_NE(message({"valid_data="}).find("is the training set itself"), std::string::npos);
  EXPECT_NE(message({"batch_size=7"}).find("even number"), std::string::npos);
  EXPECT_TRUE(
      message({"norm=seed_norm(dropout=0.1)", "micro_batch_size=4"}).starts_with("micro_batch_size: "));
  std::vector<std::string> batch_norm = convnext();
  batch_norm.back() = "norm=batch_norm";
  batch_norm.emplace_back("micro_batch_size=4");
  EXPECT_TRUE(message(batch_norm).starts_with("micro_batch_size: batch_norm takes its statistics from the"));
  batch_norm.back() = "batch_size=1";
  batch_norm.insert(batch_norm.end(), {"mixup=0", "cutmix=0"});
  EXPECT_EQ(message(batch_norm), "batch_size: batch_norm needs 2 pictures or more, got 1");
  EXPECT_TRUE(
      message({"norm=batch_norm"}).starts_with("norm.block: blocks.0.norm1, of width 16: [batch_norm]"));
  EXPECT_EQ(message({"norm=batch_norm(num_heads=2)"}),
            "norm.block: norm \"batch_norm(num_heads=2)\": batch_norm has the setting eps only");
  EXPECT_EQ(message({"norm.block=seed_norm(num_heads=99999999999999)"}),
            "norm.block: norm \"seed_norm(num_heads=99999999999999)\": num_heads: expected a divisor of the "
            "width, got 99999999999999");
  EXPECT_TRUE(message({"norm=switchable_norm"})
                  .starts_with("norm.block: blocks.0.norm1, of width 16: [switchable_norm]"));
  EXPECT_TRUE(message({"norm.block=seed_norm(num_heads=3)"})
                  .starts_with("norm.block: blocks.0.norm1, of width 16: "));
  EXPECT_EQ(message({"norm.blok=dyt"}), "no setting \"norm.blok\" (did you mean norm.block?)");
  EXPECT_TRUE(
      message({"normalization=none"}).starts_with("normalization: expected imagenet, cifar or symmetric"));
  EXPECT_TRUE(message({"ema_decay=1"}).starts_with("ema_decay: "));
  EXPECT_TRUE(message({"layer_decay=0"}).starts_with("layer_decay: "));
  EXPECT_TRUE(message({"stage_dims=1,x"}).starts_with("stage_dims: expected whole numbers"));
  fs::remove_all(folder_ / "valid/class5");
  EXPECT_NE(message({}).find("classes"), std::string::npos);
}

// The paper's models are built and counted without memory of their own.
TEST(Recipes, OfPicturesAreCounted) {
  for (const auto& [name, params] :
       std::initializer_list<std::pair<const char*, int64_t>>{{"vit-b", 86567656},
                                                              {"vit-b-seednorm", 86586856},
                                                              {"vit-l-seednorm", 304376808},
                                                              {"convnext-b-seednorm", 88611560},
                                                              {"convnext-l", 197767336}}) {
    const auto w = make_workload(load_recipe(name), Purpose::kCounting);
    EXPECT_EQ(w->counts().params, params) << name;
  }
}

// Of forward and backward: 24 norms of 197 tokens and one of their mean, 5 FLOPs a channel for LayerNorm and
// BatchNorm, 8 for SeeDNorm. The statistics of BatchNorm are no parameters.
TEST(Recipes, FlopsOfNorms) {
  const auto counts = [](const std::string& name, const std::string& norm) {
    Recipe r = load_recipe(name);
    apply_setting(r, "norm=" + norm);
    return make_workload(r, Purpose::kCounting)->counts();
  };
  const double rows = 24 * 197 + 1;
  EXPECT_EQ(counts("vit-b", "layer_norm").norm_flops_per_unit, 3 * rows * 5 * 768);
  EXPECT_EQ(counts("vit-b", "seed_norm(num_heads=16)").norm_flops_per_unit, 3 * rows * 8 * 768);
  const Counts layer = counts("convnext-b", "layer_norm"), batch = counts("convnext-b", "batch_norm");
  EXPECT_EQ(batch.norm_flops_per_unit, layer.norm_flops_per_unit);
  EXPECT_EQ(batch.norm_params, layer.norm_params);
  EXPECT_EQ(batch.extra_params, layer.extra_params);
  EXPECT_EQ(batch.params, 88591464);
}

}  // namespace
}  // namespace seednorm::lab

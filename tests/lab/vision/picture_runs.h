// Short runs on small pictures, for tests of workloads.
#ifndef SEEDNORM_TESTS_LAB_VISION_PICTURE_RUNS_H_
#define SEEDNORM_TESTS_LAB_VISION_PICTURE_RUNS_H_

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "lab/base/file.h"
#include "lab/recipes/recipe.h"
#include "lab/recipes/workloads.h"
#include "lab/train/run.h"
#include "lab/vision/data/encode_png.h"
#include "tests/lab/support.h"
#include "tests/lab/vision/data/pictures.h"

namespace seednorm::lab {

class PictureRuns : public testing::Test {
 protected:
  static constexpr int kSize = 12, kClasses = 3;

  PictureRuns() {
    int seed = 0;
    for (const auto& [name, each] : {std::pair{"train", 5}, {"valid", 3}}) {
      for (int c = 0; c < kClasses; ++c) {
        const std::filesystem::path folder =
            std::filesystem::path(folder_ / name) / ("class" + std::to_string(c));
        std::filesystem::create_directories(folder);
        for (int i = 0; i < each; ++i) {
          write((folder / (std::to_string(i) + ".png")).string(), encode_png(made_up(kSize, kSize, ++seed)));
        }
      }
    }
  }

  Recipe recipe(const std::string& name, const std::vector<std::string>& small,
                const std::vector<std::string>& more = {}) const {
    Recipe r = load_recipe(name);
    apply_settings(r, {"train_data=" + folder_ / "train", "valid_data=" + folder_ / "valid", "steps=6",
                       "batch_size=4", "warmup_images=8", "eval_every=3", "checkpoint_every=2"});
    apply_settings(r, small);
    apply_settings(r, more);
    return r;
  }

  RunResult run(const Recipe& r, const std::string& name, bool resume = false) const {
    RunSpec spec = run_spec(r, folder_ / name);
    spec.resume = resume;
    return train_run(spec);
  }

  // The lines of metrics.jsonl without times.
  std::vector<nlohmann::json> metrics(const std::string& name) const {
    std::stringstream text(read_file(std::filesystem::path(folder_ / name) / "metrics.jsonl", 1 << 24));
    std::vector<nlohmann::json> lines;
    for (std::string line; std::getline(text, line);) {
      lines.push_back(nlohmann::json::parse(line));
      lines.back().erase("seconds");
    }
    return lines;
  }

  std::string file_of(const std::string& name, const std::string& step, const char* file) const {
    return read_file(std::filesystem::path(folder_ / name) / "checkpoints" / step / file, 1 << 24);
  }

  // A run that is stopped in its last step and resumed has the bits of one that was not.
  void expect_resumes(const Recipe& r, const std::vector<const char*>& files) {
    run(r, "whole");
    run(r, "cut");
    std::filesystem::remove_all(folder_ / "cut/checkpoints/step-00000006");
    run(r, "cut", /*resume=*/true);
    EXPECT_EQ(metrics("cut"), metrics("whole"));
    for (const char* file : files) {
      EXPECT_EQ(file_of("cut", "step-00000006", file), file_of("whole", "step-00000006", file)) << file;
    }
  }

  // Rows of a batch are the same however it is divided.
  void expect_rows_alone(const Workload& workload) {
    const Batch whole = workload.batch(3, {.first = 0, .count = 4});
    const Batch part = workload.batch(3, {.first = 1, .count = 2});
    ASSERT_EQ(whole.tensors.size(), part.tensors.size());
    for (size_t i = 0; i < whole.tensors.size(); ++i) {
      EXPECT_TRUE(at::equal(whole.tensors[i].narrow(0, 1, 2), part.tensors[i])) << i;
    }
    EXPECT_FALSE(at::equal(workload.batch(4, {.first = 1, .count = 2}).tensors.back(), part.tensors.back()));
  }

  TestFolder folder_;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_TESTS_LAB_VISION_PICTURE_RUNS_H_

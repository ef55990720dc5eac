#include "lab/vision/data/loader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "tests/lab/support.h"
#include "tests/lab/vision/data/pictures.h"

namespace seednorm::lab {
namespace {

// Made-up pictures, of which some are damaged; of three classes.
class TestSet : public ImageSet {
 public:
  explicit TestSet(int64_t size, std::vector<int64_t> damaged = {})
      : size_(size), damaged_(std::move(damaged)) {
    classes_ = {"a", "b", "c"};
  }
  int64_t size() const override { return size_; }
  int label(int64_t index) const override { return static_cast<int>(index % 3); }
  std::string name(int64_t index) const override { return std::to_string(index); }
  Image decode(int64_t index, const RegionOf& region) const override {
    ++num_decoded;
    if (std::find(damaged_.begin(), damaged_.end(), index) != damaged_.end()) {
      throw DamagedImage(name(index) + ": is damaged");
    }
    std::this_thread::sleep_for(
        std::chrono::microseconds(index * 37 % 500));  // so that rows end in any order
    const Image image = made_up(24, 20, static_cast<int>(index));
    return copy_of(ImageView(image, region(24, 20)));
  }
  std::string fingerprint() const override { return "test"; }

  mutable std::atomic<int> num_decoded = 0;

 private:
  int64_t size_;
  std::vector<int64_t> damaged_;
};

LoaderOptions training(int64_t batch_size) {
  LoaderOptions options;
  options.batch_size = batch_size;
  options.seed = 5;
  options.augment = AugmentOptions::supervised(16);
  options.mix = {};
  options.smoothing = 0.1;
  return options;
}

void expect_same(const ImageBatch& a, const ImageBatch& b) {
  EXPECT_EQ(a.indices, b.indices);
  EXPECT_EQ(a.labels, b.labels);
  EXPECT_TRUE(a.pixels == b.pixels);
  EXPECT_TRUE(a.targets == b.targets);
}

TEST(Loader, SameBitsOnAnyNumberOfWorkers) {
  const TestSet set(50);
  LoaderOptions options = training(8);
  ImageLoader one(set, options);
  options.num_workers = 3;
  options.num_ahead = 5;
  ImageLoader three(set, options);
  options.num_ahead = 0;
  ImageLoader none_ahead(set, options);
  bool is_mixed = false;
  for (int64_t step = 0; step < 15; ++step) {
    const ImageBatch batch = one.read(step);
    is_mixed = is_mixed || batch.mix.lambda != 1;
    expect_same(batch, three.read(step));
    expect_same(batch, none_ahead.read(step));
  }
  EXPECT_TRUE(is_mixed);
}

TEST(Loader, SameBitsHoweverABatchIsDivided) {
  const TestSet set(50);
  LoaderOptions options = training(8);
  ImageLoader whole(set, options);
  options.first_row = 4;
  options.num_rows = 4;
  options.rows_at_once = 2;
  options.num_workers = 2;
  ImageLoader second_rank(set, options);
  for (const int64_t step : {0, 1, 2, 7, 3, 100}) {  // out of order too
    const ImageBatch batch = whole.read(step);
    for (int64_t row = 4; row < 8; row += 2) {
      const ImageBatch part = second_rank.read(step, row, 2);
      ASSERT_EQ(part.rows(), 2);
      EXPECT_TRUE(
          std::equal(part.pixels.begin(), part.pixels.end(), batch.pixels.begin() + row * 16 * 16 * 3));
      EXPECT_TRUE(std::equal(part.targets.begin(), part.targets.end(), batch.targets.begin() + row * 3));
      EXPECT_TRUE(std::equal(part.labels.begin(), part.labels.end(), batch.labels.begin() + row));
    }
  }
}

TEST(Loader, EpochsAreExact) {
  const TestSet set(21);
  ImageLoader loader(set, training(6));
  std::vector<int64_t> order;
  for (int64_t step = 0; step < 7; ++step) {
    const ImageBatch batch = loader.read(step);
    order.insert(order.end(), batch.indices.begin(), batch.indices.end());
    EXPECT_EQ(loader.epoch_of(step), step * 6 / 21);
  }
  std::vector<int64_t> first(order.begin(), order.begin() + 21), second(order.begin() + 21, order.end());
  EXPECT_NE(first, second);
  std::sort(first.begin(), first.end());
  std::sort(second.begin(), second.end());
  EXPECT_EQ(first, second);
  EXPECT_EQ(first[20], 20);
  EXPECT_EQ(std::unique(first.begin(), first.end()), first.end());
}

TEST(Loader, EvaluatesInOrderAndOnce) {
  const TestSet set(10);
  LoaderOptions options;
  options.is_training = false;
  options.batch_size = 4;
  options.augment = AugmentOptions::evaluation(16);
  ImageLoader loader(set, options);
  EXPECT_EQ(loader.num_steps(), 3);
  EXPECT_EQ(loader.read(0).indices, (std::vector<int64_t>{0, 1, 2, 3}));
  EXPECT_EQ(loader.read(1).labels, (std::vector<int>{1, 2, 0, 1}));
  const ImageBatch last = loader.read(2);
  EXPECT_EQ(last.indices, (std::vector<int64_t>{8, 9}));
  EXPECT_EQ(last.pixels.size(), 2U * 16 * 16 * 3);
  EXPECT_TRUE(last.targets.empty());
  EXPECT_EQ(loader.read(3).rows(), 0);
  EXPECT_EQ(set.num_decoded, 10);  // nothing twice
}

TEST(Loader, ADamagedPictureIsAnError) {
  const TestSet set(40, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19});
  LoaderOptions options = training(8);
  options.num_workers = 3;
  ImageLoader loader(set, options);
  int64_t first = 0;
  while (loader.index_of(0, first) >= 20) ++first;
  const std::string expected = std::to_string(loader.index_of(0, first)) +
                               ": is damaged; skip_damaged=true leaves out pictures that cannot be read";
  for (int i = 0; i < 3; ++i) EXPECT_EQ(user_error([&] { loader.read(0); }), expected);
}

TEST(Loader, OrIsLeftOutAndNamed) {
  const TestSet set(12, {3, 4, 9});
  LoaderOptions options = training(6);
  options.skip_damaged = true;
  options.num_workers = 2;
  ImageLoader loader(set, options);
  std::vector<int64_t> seen;
  for (int64_t step = 0; step < 2; ++step) {
    const ImageBatch batch = loader.read(step);
    for (int64_t row = 0; row < 6; ++row) {
      const int64_t wanted = loader.index_of(step, row);
      const int64_t instead = wanted == 3 || wanted == 4 ? 5 : wanted == 9 ? 10 : wanted;
      EXPECT_EQ(batch.indices[row], instead);
      EXPECT_EQ(batch.labels[row], set.label(instead));
    }
  }
  EXPECT_EQ(loader.damaged(), (std::vector<std::string>{"3: is damaged", "4: is damaged", "9: is damaged"}));
  LoaderOptions evaluation;
  evaluation.is_training = false;
  evaluation.skip_damaged = true;
  evaluation.batch_size = 5;
  evaluation.augment = AugmentOptions::evaluation(16);
  ImageLoader in_order(set, evaluation);
  EXPECT_EQ(in_order.read(0).labels, (std::vector<int>{0, 1, 2, -1, -1}));
  const TestSet all_damaged(2, {0, 1});
  ImageLoader none(all_damaged, options);
  EXPECT_EQ(user_error([&] { none.read(0); }), "pictures: every picture of the set is damaged");
}

TEST(Loader, RefusesOptions) {
  const TestSet set(12);
  const auto error = [&](auto change) {
    LoaderOptions options = training(6);
    change(options);
    return user_error([&] { ImageLoader loader(set, options); });
  };
  EXPECT_EQ(error([](LoaderOptions& o) { o.batch_size = 0; }), "pictures: expected at least one in a batch");
  EXPECT_EQ(error([](LoaderOptions& o) { o.batch_size = 7; }),
            "pictures: mixup and CutMix need an even number in each batch and micro-batch");
  EXPECT_EQ(error([](LoaderOptions& o) { o.rows_at_once = 3; }),
            "pictures: mixup and CutMix need an even number in each batch and micro-batch");
  EXPECT_EQ(error([](LoaderOptions& o) { o.num_workers = 0; }), "pictures: expected 1 to 1024 workers");
  EXPECT_EQ(error([](LoaderOptions& o) {
              o.first_row = 2;
              o.num_rows = 6;
            }),
            "pictures: the rows of this process lie outside of the batch");
  EXPECT_EQ(error([](LoaderOptions& o) { o.smoothing = 1; }),
            "pictures: expected a label smoothing from 0 to below 1");
}

}  // namespace
}  // namespace seednorm::lab

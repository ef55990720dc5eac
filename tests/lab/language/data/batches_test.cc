#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "lab/base/permutation.h"
#include "lab/language/data/batches.h"
#include "lab/language/data/shard_writer.h"
#include "tests/lab/support.h"

namespace seednorm::lab {
namespace {

TEST(Permutation, EveryPositionOnce) {
  for (const uint64_t size : {1, 2, 3, 4, 5, 16, 17, 63, 64, 65, 1000, 4096, 100003}) {
    for (const uint64_t epoch : {0, 1, 2}) {
      const Permutation permutation(size, 7, epoch);
      std::vector<bool> seen(size);
      for (uint64_t i = 0; i < size; ++i) {
        const uint64_t to = permutation(i);
        ASSERT_LT(to, size);
        ASSERT_FALSE(seen[to]);
        seen[to] = true;
      }
    }
  }
}

// Resumed runs rely on these for good.
TEST(Permutation, ValuesAreFixed) {
  const auto first = [](uint64_t size, uint64_t seed, uint64_t epoch) {
    const Permutation permutation(size, seed, epoch);
    std::vector<uint64_t> values;
    for (uint64_t i = 0; i < 5; ++i) values.push_back(permutation(i));
    return values;
  };
  using Values = std::vector<uint64_t>;
  EXPECT_EQ(first(1000, 0, 0), (Values{885, 64, 152, 706, 906}));
  EXPECT_EQ(first(1000, 0, 1), (Values{877, 898, 698, 130, 627}));
  EXPECT_EQ(first(1000, uint64_t{1} << 40, 0), (Values{177, 734, 303, 424, 528}));
  EXPECT_EQ(first(uint64_t{1} << 40, 3, 5),
            (Values{953535891049, 690607107894, 111665465424, 567237513973, 642719576769}));
}

TEST(Permutation, LooksShuffled) {
  constexpr uint64_t kSize = 10000;
  const Permutation permutation(kSize, 1, 0), next_epoch(kSize, 1, 1), other_seed(kSize, 2, 0);
  int same_epoch = 0, same_seed = 0, ascents = 0;
  std::vector<int> tenths(100);
  for (uint64_t i = 0; i < kSize; ++i) {
    same_epoch += permutation(i) == next_epoch(i);
    same_seed += permutation(i) == other_seed(i);
    if (i > 0) ascents += permutation(i) > permutation(i - 1);
    ++tenths[i / 1000 * 10 + permutation(i) / 1000];
  }
  // Of a random permutation: 1 expected; 5,000 with a deviation of 29; 100 with one of 9.
  EXPECT_LT(same_epoch, 10);
  EXPECT_LT(same_seed, 10);
  EXPECT_NEAR(ascents, 5000, 150);
  for (const int count : tenths) EXPECT_NEAR(count, 100, 45);
}

class BatchesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directory(folder_ / "s");
    ShardWriter writer(folder_ / "s", Tokenizer::bytes(), 700);
    for (int d = 0; d < 40; ++d) {
      std::vector<int32_t> ids(50 + 3 * d);
      for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int32_t>((17 * d + i) % 256);
      writer.add(ids, "x", ids.size());
    }
    writer.finish();
    stream_ = std::make_unique<TokenStream>(TokenStream::open({folder_ / "s"}));
    all_.resize(static_cast<size_t>(stream_->num_tokens()));
    stream_->read(0, all_);
  }

  TestFolder folder_;
  std::unique_ptr<TokenStream> stream_;
  std::vector<int64_t> all_;
};

constexpr int64_t kContext = 16, kBatch = 6;

TEST_F(BatchesTest, EverySequenceOnceAnEpoch) {
  const Batches batches(*stream_, {.context = kContext, .batch_size = kBatch, .seed = 5});
  const int64_t n = batches.num_sequences();
  EXPECT_EQ(n, (stream_->num_tokens() - 1) / kContext);
  std::vector<int> seen(static_cast<size_t>(n));
  for (int64_t position = 0; position < 3 * n; ++position) {
    ++seen[static_cast<size_t>(batches.sequence(position / kBatch, position % kBatch))];
    if ((position + 1) % n == 0) {
      const auto epochs = static_cast<int>((position + 1) / n);
      ASSERT_EQ(std::count(seen.begin(), seen.end(), epochs), n);
    }
  }
  EXPECT_EQ(batches.epoch(0), 0);
  EXPECT_EQ(batches.epoch(n / kBatch + 1), 1);
}

TEST_F(BatchesTest, EveryTokenIsPredictedOnce) {
  const Batches batches(*stream_, {.context = kContext, .batch_size = 1, .seed = 5});
  std::vector<int64_t> row(kContext + 1), joined = {all_[0]};
  for (int64_t i = 0; i < batches.num_sequences(); ++i) {
    batches.read_sequence(i, row);
    ASSERT_EQ(row[0], joined.back());
    joined.insert(joined.end(), row.begin() + 1, row.end());
  }
  EXPECT_TRUE(std::equal(joined.begin(), joined.end(), all_.begin()));
  EXPECT_LE(all_.size() - joined.size(), static_cast<size_t>(kContext));
}

TEST_F(BatchesTest, MicroBatchesAndResumedRunsSeeTheSame) {
  const auto read = [&](int64_t first_step, int64_t micro) {
    const Batches batches(*stream_, {.context = kContext, .batch_size = kBatch, .seed = 9});
    std::vector<int64_t> tokens;
    for (int64_t step = first_step; step < 60; ++step) {
      for (int64_t row = 0; row < kBatch; row += micro) {
        std::vector<int64_t> part(static_cast<size_t>(micro * (kContext + 1)));
        batches.read(step, row, micro, part);
        tokens.insert(tokens.end(), part.begin(), part.end());
      }
    }
    return tokens;
  };
  const auto whole = read(0, kBatch);
  for (const int64_t micro : {1, 2, 3}) EXPECT_EQ(read(0, micro), whole);
  const auto resumed = read(23, kBatch);
  EXPECT_TRUE(
      std::equal(resumed.begin(), resumed.end(), whole.end() - static_cast<std::ptrdiff_t>(resumed.size())));
}

TEST_F(BatchesTest, SeedsDiffer) {
  const Batches a(*stream_, {.context = kContext, .batch_size = kBatch, .seed = 1});
  const Batches b(*stream_, {.context = kContext, .batch_size = kBatch, .seed = 2});
  int same = 0;
  for (int64_t row = 0; row < a.num_sequences(); ++row) same += a.sequence(row, 0) == b.sequence(row, 0);
  EXPECT_LT(same, 10);
}

TEST_F(BatchesTest, TooShortOrWrong) {
  EXPECT_NE(
      user_error([&] { Batches(*stream_, {.context = 1000000, .batch_size = 1}); }).find("needs 1000001"),
      std::string::npos);
  user_error([&] { Batches(*stream_, {.context = 0, .batch_size = 1}); });
  user_error([&] { Batches(*stream_, {.context = 5, .batch_size = 0}); });
  const Batches batches(*stream_, {.context = kContext, .batch_size = kBatch});
  std::vector<int64_t> buffer(kContext + 1);
  EXPECT_THROW(batches.read(0, kBatch, 1, buffer), std::invalid_argument);
  EXPECT_THROW(batches.read(0, 0, 2, buffer), std::invalid_argument);
  EXPECT_THROW(batches.read_sequence(batches.num_sequences(), buffer), std::invalid_argument);
  EXPECT_THROW(stream_->read(stream_->num_tokens(), buffer), std::out_of_range);
}

}  // namespace
}  // namespace seednorm::lab

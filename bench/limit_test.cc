// Every way of streaming moves every byte, whatever the size and the number of threads; statistics of
// timings.
#include "bench/limit.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

#include "bench/machine.h"
#include "bench/timing.h"

namespace seednorm::bench {
namespace {

void fill_random(Buffer* buffer, uint64_t seed) {
  std::mt19937_64 bits(seed);
  for (size_t i = 0; i + 8 <= buffer->bytes(); i += 8) {
    const uint64_t word = bits();
    std::memcpy(buffer->data() + i, &word, sizeof(word));
  }
}

// Sizes around a line, a page and a group of pages, and one that is cut into more parts than threads.
class StreamTest : public ::testing::TestWithParam<size_t> {};

TEST_P(StreamTest, MovesEveryByteAndNoMore) {
  const size_t bytes = GetParam();
  const size_t lines = (bytes + kLineBytes - 1) / kLineBytes * kLineBytes;
  Buffer a(lines + kLineBytes);
  Buffer b(lines + kLineBytes);
  Buffer out(lines + kLineBytes);
  fill_random(&a, 1);
  fill_random(&b, 2);
  for (const int num_sources : {1, 2}) {
    // What may not be written is 0x5A, before and after.
    std::vector<char> expected(out.bytes(), 0x5A);
    for (size_t i = 0; i < lines; ++i) {
      expected[i] = num_sources == 2 ? static_cast<char>(a.data()[i] ^ b.data()[i]) : a.data()[i];
    }
    for (const int threads : {1, 2, 3}) {
      set_num_threads(threads);
      for (const Stream& stream : streams(num_sources)) {
        std::memset(out.data(), 0x5A, out.bytes());
        run_stream(stream, a.data(), num_sources == 2 ? b.data() : nullptr, out.data(), bytes,
                   default_executor());
        EXPECT_EQ(std::memcmp(out.data(), expected.data(), out.bytes()), 0)
            << stream.name << ", sources " << num_sources << ", threads " << threads;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, StreamTest,
                         ::testing::Values(1, 64, 100, 4096, 4160, 65536, 100000, (size_t{17} << 20) + 192));

TEST(Timing, QuantilesAreNearestRank) {
  const std::vector<double> values = {5, 1, 4, 2, 3};
  EXPECT_EQ(quantile(values, 0), 1);
  EXPECT_EQ(median(values), 3);
  EXPECT_EQ(quantile(values, 1), 5);
}

TEST(Timing, RatioIsTakenRoundByRound) {
  const Variant a = {"a", nullptr, {2, 30, 4}};
  const Variant b = {"b", nullptr, {1, 10, 4}};
  EXPECT_EQ(median_ratio(a, b), 2);  // of 2, 3, 1
}

TEST(Timing, EveryVariantIsTimedInEveryRound) {
  int calls = 0;
  std::vector<Variant> variants = {{"a", [&] { ++calls; }, {}}, {"b", [&] { ++calls; }, {}}};
  EXPECT_EQ(measure({.rounds = 4, .seconds = 0, .warmups = 2}, &variants), 4);
  EXPECT_EQ(calls, 2 * 4 * 3);
  EXPECT_EQ(variants[0].us.size(), 4U);
  EXPECT_EQ(variants[1].us.size(), 4U);
}

}  // namespace
}  // namespace seednorm::bench

// Parallel loops really run on several threads, cover each index once, and pass exceptions on.
#include "lab/base/parallel.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace seednorm::lab {
namespace {

// Restores the number of threads.
class ParallelFor : public testing::Test {
 protected:
  void TearDown() override { at::set_num_threads(threads_); }

 private:
  int threads_ = at::get_num_threads();
};

std::set<std::thread::id> threads_of(int64_t count, int64_t grain) {
  std::mutex mutex;
  std::set<std::thread::id> out;
  parallel_for(0, count, grain, [&](int64_t, int64_t) {
    const std::lock_guard lock(mutex);
    out.insert(std::this_thread::get_id());
  });
  return out;
}

TEST_F(ParallelFor, RunsOnAllThreadsIfThereIsWorkForThem) {
  at::set_num_threads(3);
  EXPECT_EQ(threads_of(3, 1).size(), 3);
  EXPECT_EQ(threads_of(100, 1).size(), 3);
  EXPECT_EQ(threads_of(100, 60).size(), 2);
  EXPECT_EQ(threads_of(100, 100).size(), 1);
  at::set_num_threads(1);
  EXPECT_EQ(threads_of(100, 1), std::set{std::this_thread::get_id()});
}

TEST_F(ParallelFor, CoversEachIndexOnce) {
  for (const int threads : {1, 2, 3, 5}) {
    at::set_num_threads(threads);
    for (const int64_t count : {0, 1, 2, 7, 1000}) {
      std::vector<int> times(static_cast<size_t>(count));
      parallel_for(10, 10 + count, 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) ++times[static_cast<size_t>(i - 10)];
      });
      EXPECT_EQ(times, std::vector<int>(times.size(), 1)) << threads << " threads";
    }
  }
}

TEST_F(ParallelFor, WithinAnotherItUsesTheCallersThread) {
  at::set_num_threads(2);
  parallel_for(0, 2, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) EXPECT_EQ(threads_of(100, 1), std::set{std::this_thread::get_id()});
  });
}

TEST_F(ParallelFor, RethrowsAnException) {
  for (const int threads : {1, 3}) {
    at::set_num_threads(threads);
    try {
      parallel_for(0, 3, 1, [](int64_t, int64_t end) {
        if (end == 3) throw std::invalid_argument("the last range");
      });
      ADD_FAILURE() << "no exception, " << threads << " threads";
    } catch (const std::invalid_argument& error) {
      EXPECT_EQ(error.what(), std::string("the last range"));
    }
    EXPECT_EQ(threads_of(100, 1).size(), static_cast<size_t>(threads));
  }
}

}  // namespace
}  // namespace seednorm::lab

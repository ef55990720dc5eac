// The included thread pool and the executors: every task once, whoever calls, and no thread too many.
#include "seednorm/parallel.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "seednorm/norm.h"
#include "tests/core/common.h"

namespace seednorm::test {
namespace {

using Task = void (*)(void* arg, int64_t i);

// Runs f(i) for every i through `executor`.
template <class F>
void for_each(const Executor& executor, int64_t num_tasks, F f) {
  executor.run(
      executor.self, num_tasks, [](void* arg, int64_t i) { (*static_cast<F*>(arg))(i); }, &f);
}

// How often each task ran, counted without synchronization: run() must order it all before its return.
std::vector<int> counts(const Executor& executor, int64_t num_tasks) {
  std::vector<int> count(static_cast<size_t>(num_tasks));
  for_each(executor, num_tasks, [&](int64_t i) { ++count[static_cast<size_t>(i)]; });
  return count;
}

void expect_each_once(const Executor& executor, int64_t num_tasks) {
  EXPECT_EQ(counts(executor, num_tasks), std::vector<int>(static_cast<size_t>(num_tasks), 1));
}

// Threads of this process. One that has been joined may still be listed for a moment.
int64_t count_threads() { return std::distance(std::filesystem::directory_iterator("/proc/self/task"), {}); }

// Threads without the pool: this one, and one that the thread sanitizer starts with the first other thread.
int64_t count_without_pool() {
  set_num_threads(1);
  std::thread([] {}).join();
  int64_t count = count_threads();
  for (int settled = 0; settled < 20; ++settled) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    const int64_t now = count_threads();
    if (now != count) settled = 0;
    count = now;
  }
  return count;
}

bool threads_become(int64_t expected) {
  for (int i = 0; i < 1000 && count_threads() != expected; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return count_threads() == expected;
}

TEST(Serial, RunsInOrderInTheCallingThread) {
  const std::thread::id caller = std::this_thread::get_id();
  std::vector<int64_t> order;
  for_each(serial_executor(), 100, [&](int64_t i) {
    EXPECT_EQ(std::this_thread::get_id(), caller);
    order.push_back(i);
  });
  ASSERT_EQ(order.size(), 100u);
  for (int64_t i = 0; i < 100; ++i) EXPECT_EQ(order[static_cast<size_t>(i)], i);
  EXPECT_EQ(serial_executor().num_threads, 1);
}

TEST(Pool, RunsEachTaskOnce) {
  for (const int threads : {1, 2, 3, 8}) {
    set_num_threads(threads);
    EXPECT_EQ(default_executor().num_threads, threads);
    for (const int64_t tasks : {0, 1, 2, 3, 7, 8, 9, 64, 1000}) expect_each_once(default_executor(), tasks);
  }
}

TEST(Pool, UnderStress) {
  set_num_threads(4);
  for (int call = 0; call < 5000; ++call) expect_each_once(default_executor(), call % 13);
}

// Pauses of all lengths: the workers are found spinning, falling asleep and asleep.
TEST(Pool, AfterPauses) {
  set_num_threads(3);
  for (int call = 0; call < 400; ++call) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::microseconds(call % 40);
    while (std::chrono::steady_clock::now() < end) {
    }
    expect_each_once(default_executor(), 5);
  }
}

TEST(Pool, HasTheThreadsItWasToldAndNoMore) {
  const int64_t without = count_without_pool();
  for (const int threads : {5, 2, 8, 1, 3}) {
    set_num_threads(threads);
    EXPECT_EQ(num_threads(), threads);
    expect_each_once(default_executor(), 50);
    EXPECT_TRUE(threads_become(without + threads - 1)) << count_threads() << " for " << threads;
  }
  set_num_threads(1);  // takes effect without a call
  EXPECT_TRUE(threads_become(without)) << count_threads();
}

// Two tasks that wait for each other end only if two threads run them.
TEST(Pool, RunsTasksAtTheSameTime) {
  set_num_threads(2);
  for (int call = 0; call < 50; ++call) {
    std::atomic<int> arrived{0};
    for_each(default_executor(), 2, [&](int64_t) {
      ++arrived;
      while (arrived < 2) std::this_thread::sleep_for(std::chrono::microseconds(50));
    });
  }
}

TEST(Pool, CallsFromSeveralThreads) {
  set_num_threads(4);
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 6; ++caller) {
    callers.emplace_back([] {
      for (int call = 0; call < 500; ++call) expect_each_once(default_executor(), 1 + call % 9);
    });
  }
  for (std::thread& caller : callers) caller.join();
}

TEST(Pool, ResizeDuringCalls) {
  std::atomic<bool> stop{false};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 2; ++caller) {
    callers.emplace_back([&] {
      while (!stop) expect_each_once(default_executor(), 7);
    });
  }
  for (int i = 0; i < 200; ++i) set_num_threads(1 + i % 5);
  stop = true;
  for (std::thread& caller : callers) caller.join();
}

TEST(Pool, NestedCallsRunInTheirOwnThread) {
  set_num_threads(4);
  std::atomic<int> inner{0};
  for_each(default_executor(), 8, [&](int64_t) {
    const std::thread::id thread = std::this_thread::get_id();
    for_each(default_executor(), 10, [&](int64_t) {
      EXPECT_EQ(std::this_thread::get_id(), thread);
      ++inner;
    });
    set_num_threads(4);
  });
  EXPECT_EQ(inner, 80);
}

TEST(Pool, RefusesLessThanOneThread) {
  EXPECT_THROW(set_num_threads(0), std::invalid_argument);
  EXPECT_THROW(set_num_threads(-5), std::invalid_argument);
}

// Exit status of a child that runs f() and leaves with its value; -1 if it hung or crashed.
template <class F>
int status_of_child(F f) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(60);
    _exit(f());
  }
  int status = 0;
  if (waitpid(child, &status, 0) != child || !WIFEXITED(status)) return -1;
  return WEXITSTATUS(status);
}

int pool_works() { return counts(default_executor(), 100) == std::vector<int>(100, 1) ? 0 : 1; }

TEST(Fork, ChildGetsAPoolOfItsOwn) {
#if defined(SEEDNORM_TEST_TSAN) || defined(__SANITIZE_ADDRESS__)
  // The thread sanitizer ends such a child; the address sanitizer of GCC 12 does not free its own locks in
  // it.
  GTEST_SKIP() << "sanitizers do not support threads in a forked child";
#endif
  set_num_threads(3);
  EXPECT_EQ(pool_works(), 0);
  EXPECT_EQ(status_of_child([] {
              const bool alone = count_threads() == 1;
              const bool works = pool_works() == 0 && count_threads() == 3;
              set_num_threads(2);
              return alone && works && pool_works() == 0 && count_threads() == 2 ? 0 : 1;
            }),
            0);
  EXPECT_EQ(pool_works(), 0) << "the parent's pool goes on";
}

TEST(Fork, WhileAnotherThreadHasThePool) {
#if defined(SEEDNORM_TEST_TSAN) || defined(__SANITIZE_ADDRESS__)
  // The thread sanitizer ends such a child; the address sanitizer of GCC 12 does not free its own locks in
  // it.
  GTEST_SKIP() << "sanitizers do not support threads in a forked child";
#endif
  set_num_threads(3);
  std::atomic<bool> stop{false};
  std::thread other([&] {
    while (!stop) expect_each_once(default_executor(), 20);
  });
  for (int i = 0; i < 20; ++i) EXPECT_EQ(status_of_child(pool_works), 0);
  stop = true;
  other.join();
}

// The tests below need a process that has not used the library yet: GoogleTest starts this program again.
class FreshProcess : public testing::Test {
 protected:
  void SetUp() override {
    const std::string self = std::filesystem::read_symlink("/proc/self/exe");
    if (std::system((self + " --gtest_list_tests >/dev/null 2>&1").c_str()) != 0) {
      GTEST_SKIP() << "an emulator runs this program; it cannot start it again";
    }
    GTEST_FLAG_SET(death_test_style, "threadsafe");
  }
};

// Static objects may call after the pool's threads have been joined.
struct CallsAtExit {
  ~CallsAtExit() {
    if (pool_works() != 0) _exit(3);
  }
};

[[noreturn]] void exit_with_pool() {
  alarm(60);
  static const CallsAtExit made_before_the_pool;
  set_num_threads(3);
  std::exit(pool_works());
}

[[noreturn]] void exit_while_another_thread_has_the_pool() {
  alarm(60);
  set_num_threads(3);
  std::atomic<int> calls{0};
  std::thread([&] {
    for (;; ++calls) pool_works();
  }).detach();
  while (calls < 10) std::this_thread::yield();
  std::exit(0);
}

[[noreturn]] void exit_from_a_task() {
  alarm(60);
  set_num_threads(3);
  for_each(default_executor(), 10, [](int64_t i) {
    if (i == 5) std::exit(0);
  });
  std::_Exit(1);
}

TEST_F(FreshProcess, ExitsWithThePoolAlive) {
  EXPECT_EXIT(exit_with_pool(), testing::ExitedWithCode(0), "");
  EXPECT_EXIT(exit_while_another_thread_has_the_pool(), testing::ExitedWithCode(0), "");
  EXPECT_EXIT(exit_from_a_task(), testing::ExitedWithCode(0), "");
}

[[noreturn]] void exit_with_threads(const char* variable) {
  setenv("SEEDNORM_NUM_THREADS", variable, 1);
  std::_Exit(num_threads());
}

[[noreturn]] void exit_with_threads_of_one_processor() {
  unsetenv("SEEDNORM_NUM_THREADS");
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(sched_getcpu(), &set);
  sched_setaffinity(0, sizeof(set), &set);
  std::_Exit(num_threads());
}

TEST_F(FreshProcess, DefaultNumberOfThreads) {
  cpu_set_t set;
  ASSERT_EQ(sched_getaffinity(0, sizeof(set), &set), 0);
  EXPECT_EXIT(exit_with_threads("5"), testing::ExitedWithCode(5), "");
  for (const char* nonsense : {"", "0", "-2", "3x", "many", "99999999999"}) {
    EXPECT_EXIT(exit_with_threads(nonsense), testing::ExitedWithCode(CPU_COUNT(&set)), "") << nonsense;
  }
  EXPECT_EXIT(exit_with_threads_of_one_processor(), testing::ExitedWithCode(1), "");
}

// A caller's own pool: one thread for each task.
struct OwnPool {
  int64_t calls = 0;
  static void run(void* self, int64_t num_tasks, Task task, void* arg) {
    ++static_cast<OwnPool*>(self)->calls;
    std::vector<std::thread> threads;
    for (int64_t i = 0; i < num_tasks; ++i) threads.emplace_back(task, arg, i);
    for (std::thread& thread : threads) thread.join();
  }
};

TEST(OwnExecutor, IsUsedAndNoSecondPoolComesUp) {
  const int64_t without = count_without_pool();
  set_num_threads(4);
  OwnPool own;
  const Executor executor = {OwnPool::run, &own, 4};
  for (const std::string& name : norm_names()) {
    const Layer layer(name, 256);
    Batch in(400, 256, DType::kFloat32);
    in.rows_per_sample = 400;
    const int64_t before = own.calls;
    run(layer, in, executor);
    EXPECT_GT(own.calls, before) << name;
    EXPECT_TRUE(threads_become(without)) << name << ": " << count_threads();
  }
}

}  // namespace
}  // namespace seednorm::test

// The executors: in the calling thread, or on the included thread pool.
#include "seednorm/parallel.h"

#include <pthread.h>
#ifdef __linux__
#include <sched.h>
#endif

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

namespace seednorm {
namespace {

using Task = void (*)(void* arg, int64_t i);

void run_serial(void* /*self*/, int64_t num_tasks, Task task, void* arg) {
  for (int64_t i = 0; i < num_tasks; ++i) task(arg, i);
}

// True while this thread runs tasks of the pool: a call from inside a task must not wait for the pool.
thread_local bool t_in_task = false;

inline void pause_cpu() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Processors this process may run on.
int num_processors() {
#ifdef __linux__
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return std::max(1, CPU_COUNT(&set));
#endif
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));  // 0: unknown
}

// Waits for `ready` before going to sleep. Sleeping and waking costs 25 to 30 us on a virtual Xeon (November
// 2026), at both ends of a call; 100 us bridge the work between two layers of a small model and the
// unevenness of pieces.
template <class Ready>
void spin_for(Ready ready) {
  constexpr std::chrono::microseconds kSpin(100);
  const auto end = std::chrono::steady_clock::now() + kSpin;
  while (!ready() && std::chrono::steady_clock::now() < end) pause_cpu();
}

class Pool {
 public:
  // Runs the tasks on `num_threads` threads, counting the caller's. False if another caller has the pool.
  bool try_run(int num_threads, int64_t num_tasks, Task task, void* arg) {
    const std::unique_lock owner(owner_, std::try_to_lock);
    if (!owner) return false;
    resize(num_threads);
    {
      const std::lock_guard lock(mutex_);
      task_ = task;
      arg_ = arg;
      num_tasks_ = num_tasks;
      next_.store(0, std::memory_order_relaxed);
      open_ = true;
      job_.fetch_add(1, std::memory_order_relaxed);
    }
    wake_.notify_all();
    t_in_task = true;
    claim_tasks();
    t_in_task = false;
    finish();
    return true;
  }

  // Reduces the threads now if nobody has the pool; otherwise the next call does.
  void try_shrink(int num_threads) {
    const std::unique_lock owner(owner_, std::try_to_lock);
    if (owner && num_threads < num_threads_) resize(num_threads);
  }

  // Joins all threads for good; waits for a call in progress.
  void shut_down() {
    const std::lock_guard owner(owner_);
    resize(1);
  }

 private:
  // The caller holds owner_.
  void resize(int num_threads) {
    if (num_threads == num_threads_) return;
    join_all();
    spin_ = num_threads <= num_processors();
    try {
      while (static_cast<int>(workers_.size()) < num_threads - 1) workers_.emplace_back([this] { work(); });
    } catch (const std::system_error&) {  // the system has no more threads: go on with fewer
    } catch (const std::bad_alloc&) {
    }
    num_threads_ = num_threads;
  }

  void join_all() {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    wake_.notify_all();
    for (std::thread& worker : workers_) worker.join();
    workers_.clear();
    stop_ = false;
  }

  // A worker joins a job only while it is open, so a late one never sees half of the next job, and the
  // caller waits only for those that joined, not for those that still sleep.
  void work() {
    t_in_task = true;
    int64_t seen = 0;
    for (;;) {
      if (spin_) spin_for([&] { return job_.load(std::memory_order_relaxed) != seen; });
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return stop_ || job_.load(std::memory_order_relaxed) != seen; });
      if (stop_) return;
      seen = job_.load(std::memory_order_relaxed);
      if (!open_ || next_.load(std::memory_order_relaxed) >= num_tasks_) continue;  // too late to be of use
      joined_.fetch_add(1, std::memory_order_relaxed);
      lock.unlock();
      claim_tasks();
      lock.lock();
      if (joined_.fetch_sub(1, std::memory_order_relaxed) == 1) done_.notify_one();
    }
  }

  void claim_tasks() {
    for (;;) {
      const int64_t i = next_.fetch_add(1, std::memory_order_relaxed);
      if (i >= num_tasks_) return;
      task_(arg_, i);
    }
  }

  // No task is left to claim: closes the job and waits for the workers that joined.
  void finish() {
    std::unique_lock lock(mutex_);
    open_ = false;
    const auto nobody = [this] { return joined_.load(std::memory_order_relaxed) == 0; };
    if (nobody()) return;
    lock.unlock();
    if (spin_) spin_for(nobody);
    lock.lock();
    done_.wait(lock, nobody);
  }

  std::mutex owner_;  // held by the caller that has the pool; guards the three below
  std::vector<std::thread> workers_;
  int num_threads_ = 1;
  bool spin_ = false;  // off with more threads than processors, where spinning would keep one from its work

  std::mutex mutex_;  // guards the rest; the atomics are only so that they can be watched without it
  std::condition_variable wake_;
  std::condition_variable done_;
  bool stop_ = false;
  bool open_ = false;
  std::atomic<int64_t> job_{0};
  std::atomic<int> joined_{0};
  Task task_ = nullptr;
  void* arg_ = nullptr;
  int64_t num_tasks_ = 0;
  std::atomic<int64_t> next_{0};  // next task to claim
};

// Constant-initialized and never destroyed, so that calls before main and from other static destructors work.
constinit std::mutex g_mutex;
constinit Pool* g_pool = nullptr;
constinit bool g_exiting = false;
constinit std::atomic<int> g_num_threads{0};  // 0: not decided yet

// Joins the threads at exit (or when the library is unloaded); later calls run in their own thread. The pool
// itself stays, a call may still be leaving it. exit() from inside a task cannot wait for that task.
struct JoinAtExit {
  ~JoinAtExit() {
    Pool* pool = nullptr;
    {
      const std::lock_guard lock(g_mutex);
      g_exiting = true;
      pool = g_pool;
    }
    if (pool != nullptr && !t_in_task) pool->shut_down();
  }
};

// Threads do not survive fork, and the pool's locks may be held by one of them: the child makes a new pool.
// g_mutex is held across the fork, so that it is in a known state on both sides.
void before_fork() { g_mutex.lock(); }
void after_fork_in_parent() { g_mutex.unlock(); }
void after_fork_in_child() {
  g_pool = nullptr;
  g_mutex.unlock();
}

// Null if there can be no pool; the call then runs in its own thread.
Pool* pool() {
  const std::lock_guard lock(g_mutex);
  if (g_exiting) return nullptr;
  if (g_pool == nullptr) {
    static const JoinAtExit join_at_exit;
    static const int fork_error = pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
    if (fork_error == 0) g_pool = new (std::nothrow) Pool;
  }
  return g_pool;
}

void run_on_pool(void* self, int64_t num_tasks, Task task, void* arg) {
  const int threads = num_threads();
  if (num_tasks > 1 && threads > 1 && !t_in_task) {
    Pool* const p = pool();
    if (p != nullptr && p->try_run(threads, num_tasks, task, arg)) return;
  }
  run_serial(self, num_tasks, task, arg);
}

// A value that is not a number of threads counts as not set.
int initial_num_threads() {
  const char* const text = std::getenv("SEEDNORM_NUM_THREADS");
  if (text == nullptr) return num_processors();
  int value = 0;
  const char* const end = text + std::strlen(text);
  const auto [stop, error] = std::from_chars(text, end, value);
  return error == std::errc() && stop == end && value >= 1 ? value : num_processors();
}

}  // namespace

Executor serial_executor() { return {run_serial, nullptr, 1}; }

Executor default_executor() { return {run_on_pool, nullptr, num_threads()}; }

void set_num_threads(int num_threads) {
  if (num_threads < 1) {
    throw std::invalid_argument("[set_num_threads] num_threads: expected at least 1, got " +
                                std::to_string(num_threads));
  }
  g_num_threads.store(num_threads, std::memory_order_relaxed);
  if (t_in_task) return;
  Pool* existing = nullptr;
  {
    const std::lock_guard lock(g_mutex);
    existing = g_pool;
  }
  if (existing != nullptr) existing->try_shrink(num_threads);
}

int num_threads() {
  int threads = g_num_threads.load(std::memory_order_relaxed);
  if (threads != 0) return threads;
  const int initial = initial_num_threads();
  // Another thread may have decided meanwhile; `threads` then holds its value.
  return g_num_threads.compare_exchange_strong(threads, initial) ? initial : threads;
}

}  // namespace seednorm

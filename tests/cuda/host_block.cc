// glibc's checks take a jump to another stack for one into a frame that is gone.
#undef _FORTIFY_SOURCE
#include "tests/cuda/host_block.h"

#include <ucontext.h>
#include <csetjmp>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>
#include <numeric>
#include <random>
#include <stdexcept>
#include <vector>

#include "tests/cuda/host_device.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif

namespace seednorm::cuda {
namespace {

constexpr unsigned kWarp = 32;
constexpr size_t kStackBytes = 256 * 1024;

test::ThreadOrder g_order = test::ThreadOrder::kAscending;

// A thread of the block: a context with a stack of its own, used again for later blocks.
struct Fiber {
  enum class State { kReady, kWaitsForBlock, kWaitsForWarp, kDone };

  std::unique_ptr<char[]> stack{new char[kStackBytes]};
  ucontext_t context{};
  std::jmp_buf resume{};
  bool started = false;
  State state = State::kDone;
  HostThread thread;
  int turn = 0;
  std::array<std::array<unsigned char, 16>, 2> exchange{};
  void* fake_stack = nullptr;  // the address sanitizer's
};

class Block {
 public:
  void run(dim3 grid, dim3 size, int shared_bytes, const std::function<void()>& kernel) {
    const unsigned count = size.x * size.y;
    if (count % kWarp != 0 || count > 1024)
      throw std::logic_error("a block must be of whole warps, 1024 at most");
    kernel_ = &kernel;
    while (fibers_.size() < count) add_fiber();
    count_ = count;
    for (unsigned y = 0; y < grid.y; ++y) {
      for (unsigned x = 0; x < grid.x; ++x) run_block(x, y, size, shared_bytes);
    }
  }

  Fiber& current() { return *fibers_[current_]; }
  Fiber& neighbour(int lane_distance) { return *fibers_[current_ ^ static_cast<unsigned>(lane_distance)]; }
  unsigned char* shared() { return shared_.get(); }

  // The current thread waits; others go on.
  void wait(Fiber::State state) {
    Fiber& fiber = current();
    fiber.state = state;
    leave(fiber);
  }

 private:
  void add_fiber() {
    fibers_.push_back(std::make_unique<Fiber>());
    Fiber& fiber = *fibers_.back();
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.get();
    fiber.context.uc_stack.ss_size = kStackBytes;
    fiber.context.uc_link = nullptr;
    makecontext(&fiber.context, reinterpret_cast<void (*)()>(run_fiber), 0);
  }

  static void run_fiber();

  void run_block(unsigned x, unsigned y, dim3 size, int shared_bytes) {
    // NaN in all types, and no byte more than was asked for.
    shared_.reset(static_cast<unsigned char*>(
        std::aligned_alloc(16, (static_cast<size_t>(shared_bytes) + 15) / 16 * 16)));
    std::memset(shared_.get(), 0xFF, static_cast<size_t>(shared_bytes));
    std::vector<unsigned> order(count_);
    std::iota(order.begin(), order.end(), 0u);
    if (g_order == test::ThreadOrder::kDescending) std::reverse(order.begin(), order.end());
    for (unsigned i = 0; i < count_; ++i) {
      Fiber& fiber = *fibers_[i];
      fiber.thread.thread_index = dim3(i % size.x, i / size.x);
      fiber.thread.block_index = dim3(x, y);
      fiber.thread.block_size = size;
      fiber.turn = 0;
      fiber.state = Fiber::State::kReady;
    }
    for (unsigned done = 0; done < count_;) {
      if (g_order == test::ThreadOrder::kShuffled) std::shuffle(order.begin(), order.end(), random_);
      bool progress = false;
      for (const unsigned i : order) {
        if (fibers_[i]->state != Fiber::State::kReady) continue;
        enter(i);
        progress = true;
        if (fibers_[i]->state == Fiber::State::kDone) ++done;
      }
      progress = release_waiting() || progress;
      if (!progress) throw std::logic_error("threads of a block wait for others that do not come");
    }
  }

  // Lets those go on whose warp or block has arrived. Threads that are done are not waited for.
  bool release_waiting() {
    bool released = false;
    const auto release = [&](unsigned begin, unsigned end, Fiber::State waiting) {
      bool any = false;
      for (unsigned i = begin; i < end; ++i) {
        if (fibers_[i]->state != waiting && fibers_[i]->state != Fiber::State::kDone) return;
        any = any || fibers_[i]->state == waiting;
      }
      for (unsigned i = begin; i < end && any; ++i) {
        if (fibers_[i]->state == waiting) fibers_[i]->state = Fiber::State::kReady;
      }
      released = released || any;
    };
    for (unsigned warp = 0; warp < count_; warp += kWarp)
      release(warp, warp + kWarp, Fiber::State::kWaitsForWarp);
    release(0, count_, Fiber::State::kWaitsForBlock);
    return released;
  }

  // Contexts save the mask of signals by a system call; jumps, ten times as fast, do not. But the address
  // sanitizer would clear its notes of a whole stack at each jump.
#ifdef __SANITIZE_ADDRESS__
  void enter(unsigned i) {
    current_ = i;
    Fiber& fiber = *fibers_[i];
    void* own_fake_stack = nullptr;
    __sanitizer_start_switch_fiber(&own_fake_stack, fiber.stack.get(), kStackBytes);
    swapcontext(&main_, &fiber.context);
    __sanitizer_finish_switch_fiber(own_fake_stack, nullptr, nullptr);
  }
  void leave(Fiber& fiber) {
    __sanitizer_start_switch_fiber(&fiber.fake_stack, main_stack_, main_stack_bytes_);
    swapcontext(&fiber.context, &main_);
    __sanitizer_finish_switch_fiber(fiber.fake_stack, &main_stack_, &main_stack_bytes_);
  }
#else
  void enter(unsigned i) {
    current_ = i;
    Fiber& fiber = *fibers_[i];
    if (_setjmp(resume_) != 0) return;
    if (fiber.started) _longjmp(fiber.resume, 1);
    fiber.started = true;
    setcontext(&fiber.context);
  }
  void leave(Fiber& fiber) {
    if (_setjmp(fiber.resume) == 0) _longjmp(resume_, 1);
  }
#endif

  struct Free {
    void operator()(unsigned char* p) const { std::free(p); }
  };
  std::vector<std::unique_ptr<Fiber>> fibers_;
  unsigned count_ = 0, current_ = 0;
  const std::function<void()>* kernel_ = nullptr;
  std::unique_ptr<unsigned char, Free> shared_;
  ucontext_t main_{};
  std::jmp_buf resume_{};
  std::mt19937 random_{1};
  const void* main_stack_ = nullptr;
  size_t main_stack_bytes_ = 0;
};

Block& block() {
  static Block block;
  return block;
}

void Block::run_fiber() {
  Block& b = block();
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_finish_switch_fiber(nullptr, &b.main_stack_, &b.main_stack_bytes_);
#endif
  for (;;) {
    (*b.kernel_)();
    b.wait(Fiber::State::kDone);
  }
}

}  // namespace

const HostThread& host_thread() { return block().current().thread; }
unsigned char* host_shared_memory() { return block().shared(); }
int host_max_shared_bytes() { return 99 * 1024; }  // of the smallest of the devices, compute capability 8.6
void host_launch(dim3 grid, dim3 size, int shared_bytes, const std::function<void()>& kernel) {
  if (shared_bytes > host_max_shared_bytes()) throw std::logic_error("more shared memory than there is");
  block().run(grid, size, shared_bytes, kernel);
}
void host_wait_for_block() { block().wait(Fiber::State::kWaitsForBlock); }
void host_wait_for_warp() { block().wait(Fiber::State::kWaitsForWarp); }
int host_next_turn() { return block().current().turn ^= 1; }
void* host_exchange(int turn, int lane_distance) {
  return block().neighbour(lane_distance).exchange[static_cast<size_t>(turn)].data();
}

}  // namespace seednorm::cuda

namespace seednorm::test {

void set_thread_order(ThreadOrder order) { cuda::g_order = order; }

}  // namespace seednorm::test

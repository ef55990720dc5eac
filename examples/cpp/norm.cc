// SeeDNorm in C++: runs forward and backward on the program's own thread pool, and shows that the layer
// starts as RMSNorm.
#include <cstdint>
#include <cstdio>
#include <exception>
#include <thread>
#include <vector>

#include "seednorm/seednorm.h"

namespace {

using seednorm::Param;
using seednorm::view;

constexpr int64_t kRows = 512;
constexpr int64_t kDim = 256;

// Represents the pool that a program already has; here each task gets a thread.
void run_in_threads(void* self, int64_t num_tasks, void (*task)(void* arg, int64_t i), void* arg) {
  std::vector<std::thread> threads;
  for (int64_t i = 0; i < num_tasks; ++i) threads.emplace_back(task, arg, i);
  for (std::thread& thread : threads) thread.join();
  *static_cast<int64_t*>(self) += num_tasks;
}

void print(const char* what, const std::vector<float>& values) {
  std::printf("%-8s", what);
  for (int i = 0; i < 8; ++i) std::printf(" %9.5f", values[i]);
  std::printf(" ...\n");
}

int run() {
  std::vector<float> x(kRows * kDim), dy(x.size()), y(x.size()), dx(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    x[i] = static_cast<float>(i * 7 % 11) / 4 - 1;
    dy[i] = static_cast<float>(i * 5 % 13) / 6 - 1;
  }
  const seednorm::Norm see("seed_norm", kDim, {.num_heads = 4});
  std::vector<float> gamma(kDim, static_cast<float>(see.initial_value(Param::kGamma)));
  std::vector<float> alpha(kDim, static_cast<float>(see.initial_value(Param::kAlpha)));
  std::vector<float> beta(kDim, static_cast<float>(see.initial_value(Param::kBeta)));

  // beta starts at 0, where SeeDNorm computes the same bits as RMSNorm.
  seednorm::ForwardArgs forward;
  forward.rows = kRows;
  forward.x = view(x.data());
  forward.y = view(y.data());
  forward.params.gamma = view(gamma.data());
  std::vector<float> y_rms(x.size());
  seednorm::ForwardArgs forward_rms = forward;
  forward_rms.y = view(y_rms.data());
  seednorm::Norm("rms_norm", kDim).forward(forward_rms);
  forward.params.alpha = view(alpha.data());
  forward.params.beta = view(beta.data());
  see.forward(forward);
  const bool same = y == y_rms;
  std::printf("beta = 0 is RMSNorm: %s\n", same ? "yes" : "NO");

  // A training step: forward keeps the statistics, and backward uses them.
  for (int64_t i = 0; i < kDim; ++i) beta[i] = 0.01f * static_cast<float>(i % 7 - 3);
  int64_t num_tasks = 0;
  const seednorm::Executor own = {run_in_threads, &num_tasks, 2};
  std::vector<float> stats(kRows * see.num_stats());
  forward.stats = stats.data();
  see.forward(forward, own);
  print("y", y);

  std::vector<float> dgamma(kDim), dalpha(kDim), dbeta(kDim);
  std::vector<double> scratch(see.scratch_bytes(kRows) / sizeof(double) + 1);
  seednorm::BackwardArgs backward;
  backward.rows = kRows;
  backward.x = forward.x;
  backward.dy = view(dy.data());
  backward.dx = view(dx.data());
  backward.params = forward.params;
  backward.grads.gamma = view(dgamma.data());
  backward.grads.alpha = view(dalpha.data());
  backward.grads.beta = view(dbeta.data());
  backward.stats = stats.data();
  backward.scratch = scratch.data();
  see.backward(backward, own);
  print("dx", dx);
  print("dgamma", dgamma);
  print("dalpha", dalpha);
  print("dbeta", dbeta);
  std::printf("tasks on the program's own threads: %lld\n", static_cast<long long>(num_tasks));
  return same ? 0 : 1;
}

}  // namespace

int main() {
  try {
    return run();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}

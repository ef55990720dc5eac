// The kernels for GPUs, on the host.
#include <map>

#include "seednorm/cuda.h"
#include "tests/cuda/host_block.h"
#include "tests/support/backend.h"

namespace seednorm::test {

const Backend kBackend = {
    .targets = []() -> std::vector<std::string> {
      return {"ascending", "descending", "shuffled"};
    },
    .set_target =
        [](const std::string& name) {
          static const std::map<std::string, ThreadOrder> kOrders = {{"", ThreadOrder::kAscending},
                                                                     {"ascending", ThreadOrder::kAscending},
                                                                     {"descending", ThreadOrder::kDescending},
                                                                     {"shuffled", ThreadOrder::kShuffled}};
          set_thread_order(kOrders.at(name));
        },
    .scratch_bytes = cuda::scratch_bytes,
    .forward = [](const Norm& norm, const ForwardArgs& args, const Executor&) { cuda::forward(norm, args); },
    .backward = [](const Norm& norm, const BackwardArgs& args,
                   const Executor&) { cuda::backward(norm, args); },
    .has_threads = false,
    .max_chunks = cuda::kMaxChunks,
    .repeats = 10,
};

}  // namespace seednorm::test

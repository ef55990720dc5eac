// Parallel loops on libtorch's threads. Only for sources that are linked to libtorch.
#ifndef SEEDNORM_LAB_BASE_PARALLEL_H_
#define SEEDNORM_LAB_BASE_PARALLEL_H_

#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/csrc/stable/c/shim.h>

#include <cstdint>
#include <exception>
#include <mutex>
#include <stdexcept>

namespace seednorm::lab {

// Calls work(begin, end) for disjoint ranges that cover [begin, end), one on each of libtorch's threads, of
// at least `grain` indices if there are several; within a parallel loop, and for fewer indices, once on the
// calling thread. Rethrows the first exception.
//
// This calls libtorch's own at::parallel_for. The template of that name in ATen's headers must not be used:
// in sources that are compiled without -fopenmp it runs everything on the calling thread.
template <class Work>
void parallel_for(int64_t begin, int64_t end, int64_t grain, const Work& work) {
  struct Call {
    const Work& work;
    std::mutex mutex;
    std::exception_ptr error;
  } call{work, {}, nullptr};
  const auto run = [](int64_t first, int64_t last, void* context) {
    Call& c = *static_cast<Call*>(context);
    try {
      c.work(first, last);
    } catch (...) {  // libtorch's function would reduce it to an error code
      const std::lock_guard lock(c.mutex);
      if (!c.error) c.error = std::current_exception();
    }
  };
  const AOTITorchError code = torch_parallel_for(begin, end, grain, run, &call);
  if (call.error) std::rethrow_exception(call.error);
  if (code != AOTI_TORCH_SUCCESS) throw std::runtime_error("libtorch refused a parallel loop");
}

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_BASE_PARALLEL_H_

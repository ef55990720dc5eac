#include "lab/train/threads.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>

#include "lab/base/parallel.h"

namespace seednorm::lab {

void set_training_threads(int64_t count) {
  if (count > 0) at::set_num_threads(static_cast<int>(count));
  // Each thread has its own mode, and new threads inherit the mode of their creator. The threads may or may
  // not exist already.
  at::Context::setFlushDenormal(true);
  parallel_for(0, at::get_num_threads(), 1, [](int64_t, int64_t) { at::Context::setFlushDenormal(true); });
}

}  // namespace seednorm::lab

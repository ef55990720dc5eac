#include "lab/nn/cpu/one_thread.h"

#include <ATen/Parallel.h>

#include <cstdlib>

extern "C" {
// Of the OpenMP library that libtorch is linked to.
int omp_get_max_threads();
void omp_set_num_threads(int count);
// Of the MKL inside libtorch, which only builds for x86 have. For the calling thread; returns the last value.
[[gnu::weak]] int MKL_Set_Num_Threads_Local(int count);
}

namespace seednorm::lab {
namespace {

// Without a reproducible mode, MKL's products depend on the alignment of memory on AMD's processors. MKL
// reads the mode at its first call, so it is set before main; a user's choice is kept.
[[gnu::constructor]] void choose_reproducible_mode() { ::setenv("MKL_CBWR", "AUTO", /*overwrite=*/0); }

}  // namespace

OneThread::OneThread() {
  // A thread's first call of this takes the program's number of threads, and would undo what follows.
  at::get_num_threads();
  openmp_ = omp_get_max_threads();
  omp_set_num_threads(1);
  mkl_ = MKL_Set_Num_Threads_Local != nullptr ? MKL_Set_Num_Threads_Local(1) : 0;
}

OneThread::~OneThread() {
  omp_set_num_threads(openmp_);
  if (MKL_Set_Num_Threads_Local != nullptr) MKL_Set_Num_Threads_Local(mkl_);
}

}  // namespace seednorm::lab

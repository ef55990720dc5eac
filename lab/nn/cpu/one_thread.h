// Calls of libraries on one thread, whatever the number of threads is.
#ifndef SEEDNORM_LAB_NN_CPU_ONE_THREAD_H_
#define SEEDNORM_LAB_NN_CPU_ONE_THREAD_H_

namespace seednorm::lab {

// While one of these lives, libtorch, MKL and oneDNN use one thread for what the current thread calls, and
// plan for one: with more, MKL and oneDNN cut long sums among their threads, and libtorch cuts sums over
// whole tensors and the vectors of silu and sigmoid, so that bits depend on the number of threads. Also
// inside of a parallel loop, where oneDNN would still plan for all of them.
class OneThread {
 public:
  OneThread();
  ~OneThread();
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int openmp_, mkl_;  // threads before
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_NN_CPU_ONE_THREAD_H_

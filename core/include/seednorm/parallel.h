// Distributes work over threads, using either the caller's pool or the one included here.
#ifndef SEEDNORM_PARALLEL_H_
#define SEEDNORM_PARALLEL_H_

#include <cstdint>

namespace seednorm {

// A parallel-for that the caller may pass, so that a program with a pool (libtorch, TBB,
// OpenMP) does not get a second one. `run` calls task(arg, i) once for every i in [0, num_tasks),
// in any order and on any threads, and returns when all are done. Tasks do not throw and do not
// nest. Results do not depend on the executor: they are bitwise the same for any number of threads.
struct Executor {
  void (*run)(void* self, int64_t num_tasks, void (*task)(void* arg, int64_t i), void* arg) = nullptr;
  void* self = nullptr;
  int num_threads = 1;  // a hint for the number of pieces into which to cut the work
};

// Runs everything in the calling thread.
Executor serial_executor();

// The included pool. It is created on first use, and its threads sleep between calls. Calls from several
// threads at once are safe: one of them gets the pool, and the others run in their own thread.
Executor default_executor();

// Threads of the included pool, counting the caller's. Default: SEEDNORM_NUM_THREADS if set,
// else the number of processors that this process may run on. Throws std::invalid_argument below 1.
void set_num_threads(int num_threads);
int num_threads();

}  // namespace seednorm

#endif  // SEEDNORM_PARALLEL_H_

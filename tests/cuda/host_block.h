// In which order the threads of a block take their turns. What a missing barrier lets be read too early, or
// written too late, some order shows.
#ifndef SEEDNORM_TESTS_CUDA_HOST_BLOCK_H_
#define SEEDNORM_TESTS_CUDA_HOST_BLOCK_H_

namespace seednorm::test {

enum class ThreadOrder { kAscending, kDescending, kShuffled };
void set_thread_order(ThreadOrder order);

}  // namespace seednorm::test

#endif  // SEEDNORM_TESTS_CUDA_HOST_BLOCK_H_

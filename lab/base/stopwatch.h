// Measures elapsed time.
#ifndef SEEDNORM_LAB_BASE_STOPWATCH_H_
#define SEEDNORM_LAB_BASE_STOPWATCH_H_

#include <chrono>

namespace seednorm::lab {

class Stopwatch {
 public:
  double seconds() const {  // since construction
    return std::chrono::duration<double>(Clock::now() - start_).count();
  }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point start_ = Clock::now();
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_BASE_STOPWATCH_H_

// The progress of a long command as one line, which is rewritten in place on a terminal; elsewhere a new line
// is printed now and then.
#ifndef SEEDNORM_LAB_BASE_PROGRESS_H_
#define SEEDNORM_LAB_BASE_PROGRESS_H_

#include <chrono>
#include <string>

namespace seednorm::lab {

class Progress {
 public:
  Progress();  // to stderr
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // Whether it is time for a new line; callers ask first, since making a line may be costly.
  bool is_due() const;
  void show(const std::string& line);
  double seconds() const;  // since construction

 private:
  using Clock = std::chrono::steady_clock;

  bool is_terminal_;
  Clock::time_point start_ = Clock::now(), next_;
  bool shown_ = false;
};

// 1234567 as "1.23M", with the suffixes k, M, G, T.
std::string with_unit(double number);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_BASE_PROGRESS_H_

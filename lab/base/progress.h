// One line that says how far a long command is: rewritten in place on a terminal, now and then a line
// elsewhere.
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

  // Whether it is time for a new line; making one may cost something.
  bool is_due() const;
  void show(const std::string& line);
  double seconds() const;  // since the begin

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

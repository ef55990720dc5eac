#include "lab/base/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>

namespace seednorm::lab {
namespace {

using std::chrono::duration;

constexpr double kTerminalSeconds = 0.2, kPlainSeconds = 10;

size_t terminal_width() {
  winsize size{};
  const bool known = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : 80;
}

}  // namespace

Progress::Progress() : is_terminal_(::isatty(STDERR_FILENO) == 1) {
  // Nothing is shown for short work.
  next_ = start_ + std::chrono::duration_cast<Clock::duration>(
                       duration<double>(is_terminal_ ? kTerminalSeconds : kPlainSeconds));
}

Progress::~Progress() {
  if (shown_ && is_terminal_) std::fputs("\r\x1b[K", stderr);
}

bool Progress::is_due() const { return Clock::now() >= next_; }

double Progress::seconds() const { return duration<double>(Clock::now() - start_).count(); }

void Progress::show(const std::string& line) {
  if (is_terminal_) {
    // A line that wraps could not be rewritten. One column stays free: some terminals wrap early.
    std::fprintf(stderr, "\r%.*s\x1b[K", static_cast<int>(terminal_width() - 1), line.c_str());
  } else {
    std::fprintf(stderr, "%s\n", line.c_str());
  }
  std::fflush(stderr);
  shown_ = true;
  next_ = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                             duration<double>(is_terminal_ ? kTerminalSeconds : kPlainSeconds));
}

std::string with_unit(double number) {
  const char* suffix = "";
  for (const char* next : {"k", "M", "G", "T"}) {
    if (std::fabs(number) < 999.5) break;
    number /= 1000;
    suffix = next;
  }
  const double size = std::fabs(number);
  const int decimals = *suffix == '\0' || size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2;
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%.*f%s", decimals, number, suffix);
  return buffer;
}

}  // namespace seednorm::lab

#include "lab/base/standard_streams.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <stdexcept>

#include "lab/base/file.h"

namespace seednorm::lab {
namespace {

bool reader_is_gone() {
  pollfd output{STDOUT_FILENO, POLLOUT, 0};
  return ::poll(&output, 1, 0) == 1 && (output.revents & POLLERR) != 0;
}

}  // namespace

void open_standard_streams() {
  for (int stream = STDIN_FILENO; stream <= STDERR_FILENO; ++stream) {
    if (::fcntl(stream, F_GETFD) >= 0 || errno != EBADF) continue;
    // This descriptor is the lowest free one, so open returns it.
    if (::open("/dev/null", O_RDWR) != stream) std::_Exit(1);
  }
}

void flush_standard_output() {
  std::cout.flush();
  errno = 0;
  const bool flushed = std::fflush(stdout) == 0;
  const int error = errno;
  // An earlier flush may have failed; its text is lost even if this one succeeds.
  if ((flushed && std::ferror(stdout) == 0 && std::cout.good()) || error == EPIPE || reader_is_gone()) return;
  if (error != 0) fail_with_errno("write", "the standard output", error);
  throw std::runtime_error("cannot write all of the standard output; some of it is lost");
}

}  // namespace seednorm::lab

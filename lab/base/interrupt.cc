#include "lab/base/interrupt.h"

#include <csignal>

#include "lab/base/error.h"

namespace seednorm::lab {
namespace {

volatile std::sig_atomic_t g_interrupted = 0;

void on_signal(int /*signal*/) { g_interrupted = 1; }

}  // namespace

void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESETHAND | SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
}

bool interrupted() { return g_interrupted != 0; }

void check_interrupt() {
  if (interrupted()) throw Interrupted("stopped");
}

}  // namespace seednorm::lab

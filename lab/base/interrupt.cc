#include "lab/base/interrupt.h"

#include <unistd.h>

#include <atomic>
#include <csignal>

#include "lab/base/error.h"

namespace seednorm::lab {
namespace {

volatile std::sig_atomic_t g_interrupted = 0;
std::atomic<int> g_deferred = 0;

void on_signal(int /*signal*/) { g_interrupted = 1; }

// The instruction that was reading cannot continue, and a signal handler cannot throw.
void on_lost_mapping(int /*signal*/) {
  constexpr char kMessage[] = "seednorm: a file became shorter while it was in use, or its disk went away\n";
  [[maybe_unused]] const auto ignored = ::write(STDERR_FILENO, kMessage, sizeof kMessage - 1);
  ::_exit(1);
}

}  // namespace

void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESETHAND | SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  struct sigaction hangup {};
  sigaction(SIGHUP, nullptr, &hangup);
  if (hangup.sa_handler != SIG_IGN) sigaction(SIGHUP, &action, nullptr);
  struct sigaction bus {};
  bus.sa_handler = on_lost_mapping;
  bus.sa_flags = SA_RESETHAND;
  sigemptyset(&bus.sa_mask);
  sigaction(SIGBUS, &bus, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
}

bool interrupted() { return g_interrupted != 0; }

DeferInterrupts::DeferInterrupts() { ++g_deferred; }
DeferInterrupts::~DeferInterrupts() { --g_deferred; }

void check_interrupt() {
  if (interrupted() && g_deferred == 0) throw Interrupted("stopped");
}

}  // namespace seednorm::lab

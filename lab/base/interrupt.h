// Stopping cleanly on SIGINT, SIGTERM and SIGHUP.
#ifndef SEEDNORM_LAB_BASE_INTERRUPT_H_
#define SEEDNORM_LAB_BASE_INTERRUPT_H_

namespace seednorm::lab {

// After this call the first SIGINT, SIGTERM or SIGHUP only sets a flag; the second one ends the program as
// usual. SIGHUP stays ignored if it is ignored already, as under nohup. A write beyond a limit or to a closed
// pipe becomes an error of that write. A mapped file that becomes shorter while it is read ends the program
// with a message.
void catch_interrupts();

bool interrupted();
// Throws Interrupted if the flag is set and no DeferInterrupts lives.
void check_interrupt();

// While it lives, check_interrupt() does not throw: the work at hand must be finished as a whole.
class DeferInterrupts {
 public:
  DeferInterrupts();
  ~DeferInterrupts();
  DeferInterrupts(const DeferInterrupts&) = delete;
  DeferInterrupts& operator=(const DeferInterrupts&) = delete;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_BASE_INTERRUPT_H_

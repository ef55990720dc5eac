// Stopping cleanly on SIGINT and SIGTERM.
#ifndef SEEDNORM_LAB_BASE_INTERRUPT_H_
#define SEEDNORM_LAB_BASE_INTERRUPT_H_

namespace seednorm::lab {

// From here on the first SIGINT or SIGTERM only sets a flag; the second one kills as usual. A write beyond a
// limit or to a closed pipe becomes an error of that write.
void catch_interrupts();

bool interrupted();
// Throws Interrupted if the flag is set.
void check_interrupt();

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_BASE_INTERRUPT_H_

#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include "lab/base/standard_streams.h"
#include "lab/cli/program.h"

int main(int argc, char** argv) {
  seednorm::lab::open_standard_streams();
#if defined(__GLIBC__)
  // A training step allocates again what the step before has freed. By default large blocks return to the
  // system and come back as new pages, with a page fault for each 4 KB: a fifth of the time of a step
  // (docs/notes/training_speed.md).
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, -1);
#endif
  return seednorm::lab::run_program(argc, argv);
}

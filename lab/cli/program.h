// The program: from its arguments to its exit code.
#ifndef SEEDNORM_LAB_CLI_PROGRAM_H_
#define SEEDNORM_LAB_CLI_PROGRAM_H_

namespace seednorm::lab {

// 0; 2 when what the user gave is wrong; 130 when the user stopped it; 1 for every other failure. Errors are
// one line on stderr.
int run_program(int argc, const char* const* argv);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_CLI_PROGRAM_H_

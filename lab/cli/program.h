// The program: from its arguments to its exit code.
#ifndef SEEDNORM_LAB_CLI_PROGRAM_H_
#define SEEDNORM_LAB_CLI_PROGRAM_H_

namespace seednorm::lab {

// Returns 0 on success, 2 for a mistake of the user, 130 if the user stopped the program, and 1 for every
// other failure. Errors are one line on stderr.
int run_program(int argc, const char* const* argv);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_CLI_PROGRAM_H_

// The errors that the program turns into exit codes. Everything else that is thrown is a failure: exit
// code 1.
#ifndef SEEDNORM_LAB_BASE_ERROR_H_
#define SEEDNORM_LAB_BASE_ERROR_H_

#include <stdexcept>
#include <string>

namespace seednorm::lab {

// Something that the user gave is wrong: exit code 2. The message is one line: where, what is wrong, what to
// do.
class UserError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// The user stopped the program: exit code 130.
class Interrupted : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// `text` for a message: cut at `max_bytes`, quotes around it, control characters and broken UTF-8 as \x1b.
std::string quote(std::string_view text, size_t max_bytes = 60);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_BASE_ERROR_H_

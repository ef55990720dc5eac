// The errors that the program turns into exit codes of their own. Any other exception is a failure, with
// exit code 1.
#ifndef SEEDNORM_LAB_BASE_ERROR_H_
#define SEEDNORM_LAB_BASE_ERROR_H_

#include <stdexcept>
#include <string>

namespace seednorm::lab {

// A mistake of the user, with exit code 2. The message is one line that says where it is, what is wrong and
// what to do.
class UserError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// The user stopped the program; the exit code is 130.
class Interrupted : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// `text` in quotes for a message, cut at `max_bytes`, with control characters and invalid UTF-8 as \x1b.
std::string quote(std::string_view text, size_t max_bytes = 60);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_BASE_ERROR_H_

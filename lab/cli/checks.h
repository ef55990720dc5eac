// Checks of option values whose messages say what is expected.
#ifndef SEEDNORM_LAB_CLI_CHECKS_H_
#define SEEDNORM_LAB_CLI_CHECKS_H_

#include <CLI/CLI.hpp>
#include <charconv>
#include <cstdint>
#include <string>
#include <system_error>

#include "lab/base/error.h"

namespace seednorm::lab {

// Accepts a whole number of `min` or more. CLI11's own checks print the limits of their type, with hundreds
// of digits, and replace a number beyond a limit with the limit.
inline CLI::Validator at_least(int64_t min) {
  const auto check = [min](const std::string& text) {
    int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool fits = error == std::errc() && end == text.data() + text.size() && value >= min;
    return fits ? std::string()
                : "expected a whole number of " + std::to_string(min) + " or more, got " + quote(text);
  };
  return {check, ""};
}

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_CLI_CHECKS_H_

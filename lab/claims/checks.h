// Checks of claims that need no training.
#ifndef SEEDNORM_LAB_CLAIMS_CHECKS_H_
#define SEEDNORM_LAB_CLAIMS_CHECKS_H_

#include <string>

namespace seednorm::lab {

struct CheckResult {
  bool holds = false;
  std::string text;  // what was compared, and what was found
};

// Errors (UserError): there is no such check.
CheckResult run_check(const std::string& name);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_CLAIMS_CHECKS_H_

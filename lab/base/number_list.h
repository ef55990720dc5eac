// Lists of numbers in options.
#ifndef SEEDNORM_LAB_BASE_NUMBER_LIST_H_
#define SEEDNORM_LAB_BASE_NUMBER_LIST_H_

#include <string>
#include <vector>

namespace seednorm::lab {

// The numbers of a comma-separated list, in its order. Errors (UserError, beginning with the option's name):
// something else than positive finite numbers, or one of them twice.
std::vector<double> positive_numbers(const std::string& option, const std::string& list);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_BASE_NUMBER_LIST_H_

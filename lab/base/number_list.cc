#include "lab/base/number_list.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "lab/base/error.h"
#include "lab/base/split_list.h"

namespace seednorm::lab {

std::vector<double> positive_numbers(const std::string& option, const std::string& list) {
  const auto refuse = [&](const std::string& item) {
    throw UserError(option + ": expected positive numbers separated by commas, got " + quote(item));
  };
  if (list.empty() || list.ends_with(',')) refuse("");
  std::vector<double> out;
  for (const std::string& item : split_list(list)) {
    char* end = nullptr;
    const double value = std::strtod(item.c_str(), &end);
    if (item.empty() || *end != '\0' || !(value > 0) || !std::isfinite(value)) refuse(item);
    if (std::find(out.begin(), out.end(), value) != out.end())
      throw UserError(option + ": " + item + " occurs twice");
    out.push_back(value);
  }
  return out;
}

}  // namespace seednorm::lab

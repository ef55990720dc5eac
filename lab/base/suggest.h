// Finds the name that the user probably meant.
#ifndef SEEDNORM_LAB_BASE_SUGGEST_H_
#define SEEDNORM_LAB_BASE_SUGGEST_H_

#include <string>
#include <string_view>
#include <vector>

namespace seednorm::lab {

// The nearest of `known` by edits (insert, delete, replace, swap neighbours); empty if none is near.
std::string nearest_name(std::string_view name, const std::vector<std::string>& known);

// " (did you mean X?)", or an empty text if no name is near.
std::string did_you_mean(std::string_view name, const std::vector<std::string>& known);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_BASE_SUGGEST_H_

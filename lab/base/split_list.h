// Lists in settings and options.
#ifndef SEEDNORM_LAB_BASE_SPLIT_LIST_H_
#define SEEDNORM_LAB_BASE_SPLIT_LIST_H_

#include <sstream>
#include <string>
#include <vector>

namespace seednorm::lab {

// The items of a comma-separated list; an empty text has none.
inline std::vector<std::string> split_list(const std::string& list) {
  std::vector<std::string> out;
  std::stringstream stream(list);
  for (std::string item; std::getline(stream, item, ',');) out.push_back(item);
  return out;
}

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_BASE_SPLIT_LIST_H_

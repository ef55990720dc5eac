#include "lab/train/left_out.h"

#include <cstdio>
#include <sstream>

namespace seednorm::lab {

void LeftOut::add(const std::vector<std::string>& mine, const Group& group) {
  constexpr size_t kNamed = 20;
  std::string text;
  for (const std::string& what : mine) text += what + "\n";
  for (const std::string& of_rank : group.gather(text)) {
    std::istringstream lines(of_rank);
    for (std::string line; std::getline(lines, line);) {
      if (!known_.insert(line).second || !group.is_main()) continue;
      if (count() <= kNamed) std::fprintf(stderr, "left out of the %s: %s\n", data_.c_str(), line.c_str());
      if (count() == kNamed) std::fprintf(stderr, "more of them are counted, and not named\n");
    }
  }
}

void LeftOut::print_count(const Group& group) const {
  if (count() == 0 || !group.is_main()) return;
  std::fprintf(stderr, "left out of the %s: %zu that could not be read\n", data_.c_str(), count());
}

}  // namespace seednorm::lab

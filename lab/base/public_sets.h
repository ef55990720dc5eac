// The public files that `data get` knows by name; public_sets.def is the list.
#ifndef SEEDNORM_LAB_BASE_PUBLIC_SETS_H_
#define SEEDNORM_LAB_BASE_PUBLIC_SETS_H_

#include <cstdint>
#include <string>
#include <vector>

namespace seednorm::lab {

struct PublicSet {
  std::string name, url;
  int64_t bytes;       // 0: unknown
  std::string sha256;  // empty: unverified
  std::string licence, what;
};

const std::vector<PublicSet>& public_sets();

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_BASE_PUBLIC_SETS_H_

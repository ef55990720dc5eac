#include "lab/base/public_sets.h"

namespace seednorm::lab {

const std::vector<PublicSet>& public_sets() {
  static const std::vector<PublicSet> sets = {
#define SEEDNORM_DATA_SET(name, url, bytes, sha256, licence, what) {name, url, bytes, sha256, licence, what},
#include "lab/base/public_sets.def"
#undef SEEDNORM_DATA_SET
  };
  return sets;
}

}  // namespace seednorm::lab

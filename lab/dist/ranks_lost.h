// The error of a group whose ranks lost each other.
#ifndef SEEDNORM_LAB_DIST_RANKS_LOST_H_
#define SEEDNORM_LAB_DIST_RANKS_LOST_H_

#include <stdexcept>

namespace seednorm::lab {

// Other ranks ended or do not answer. A thread may still wait for them, so that a program should end without
// destroying what is static.
class RanksLost : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_DIST_RANKS_LOST_H_

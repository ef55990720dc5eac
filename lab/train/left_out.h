// Pieces of data that could not be read, where the user wants to go on without them.
#ifndef SEEDNORM_LAB_TRAIN_LEFT_OUT_H_
#define SEEDNORM_LAB_TRAIN_LEFT_OUT_H_

#include <set>
#include <string>
#include <vector>

#include "lab/dist/group.h"

namespace seednorm::lab {

// Counts the pieces that any rank left out, and names the first of them on the terminal of rank 0.
class LeftOut {
 public:
  // `data` is what they belong to: "training data".
  explicit LeftOut(std::string data) : data_(std::move(data)) {}

  // Every rank calls it, with a line for each piece that it left out: known ones are not counted again.
  void add(const std::vector<std::string>& mine, const Group& group);
  size_t count() const { return known_.size(); }
  // Prints the count, unless it is 0, on the terminal of rank 0.
  void print_count(const Group& group) const;

 private:
  std::string data_;
  std::set<std::string> known_;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_TRAIN_LEFT_OUT_H_

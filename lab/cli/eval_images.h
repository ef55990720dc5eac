// seednorm eval of a classifier of pictures.
#ifndef SEEDNORM_LAB_CLI_EVAL_IMAGES_H_
#define SEEDNORM_LAB_CLI_EVAL_IMAGES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "lab/dist/group.h"

namespace seednorm::lab {

struct ImageEvalOptions {
  std::string model, data, predictions, json;
  int64_t limit = 0, rows = 64;  // pictures in all (0: every one), and in a pass
  bool average = false;          // the averaged weights of a checkpoint
  bool skip_damaged = false;
};

// Prints loss, Acc@1 and Acc@5 on the pictures of `data`, of their test part where they have one. With
// `predictions`, a new file, writes a line of JSON for each picture: its file, label and logits. Errors
// (UserError): model or pictures that cannot be read, or have other numbers of classes. The ranks of the
// group divide the pictures among them.
void eval_images(const ImageEvalOptions& options, const Group& group);

struct PairOptions {
  std::string model, json;
  std::vector<std::string> sets;  // two
  int64_t limit = 0, rows = 64;   // pictures of each set (0: every one), and in a pass
  bool average = false;           // the averaged weights of a checkpoint
};

// Prints the Frechet distance of two sets of pictures by the features of `model`, as open_feature_net and
// open_pictures open them. Errors (UserError): theirs; a set with fewer than two pictures.
void eval_pairs(const PairOptions& options);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_CLI_EVAL_IMAGES_H_

// Batches of pictures, made ahead of time by workers.
#ifndef SEEDNORM_LAB_VISION_DATA_LOADER_H_
#define SEEDNORM_LAB_VISION_DATA_LOADER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lab/vision/data/augment.h"
#include "lab/vision/data/image_set.h"
#include "lab/vision/data/mix.h"

namespace seednorm::lab {

struct ImageBatch {
  int size = 0;                  // a picture's side
  std::vector<float> pixels;     // [rows, size, size, 3]
  std::vector<int> labels;       // [rows]; -1: a damaged picture of an evaluation, whose pixels are 0
  std::vector<float> targets;    // [rows, classes] of training: each class's share
  std::vector<int64_t> indices;  // [rows]: which picture of the set it is
  Mix mix;                       // of the step

  int64_t rows() const { return static_cast<int64_t>(labels.size()); }
};

struct LoaderOptions {
  // Training takes the pictures of each epoch in an order of its own, without gaps between epochs. Evaluation
  // takes them in the set's order, once: the last step may be short, and those after it are empty.
  bool is_training = true;
  int64_t batch_size = 0;  // pictures in a step, over all micro-batches and ranks
  uint64_t seed = 0;
  AugmentOptions augment;
  MixOptions mix = {.mixup = 0, .cutmix = 0};  // of training
  double smoothing = 0;                        // of labels, in targets
  // Damaged pictures are named and left out: in training the next one of the set takes the place. Else they
  // are an error.
  bool skip_damaged = false;
  std::string skip_option = "skip_damaged=true";  // how the user asks for that, for the error
  int num_workers = 1;
  int num_ahead = 2;  // batches that are made before they are asked for
  // The rows of each step that this process reads, so many at once: what to make ahead.
  int64_t first_row = 0, num_rows = 0, rows_at_once = 0;  // 0: all of them
};

// What stands in a row of a step is a pure function of (set, options, step, row): neither workers nor the way
// a batch is divided change it.
class ImageLoader {
 public:
  // The set must outlive it. Throws UserError if the options do not fit it or each other.
  ImageLoader(const ImageSet& set, const LoaderOptions& options);
  ~ImageLoader();
  ImageLoader(const ImageLoader&) = delete;
  ImageLoader& operator=(const ImageLoader&) = delete;

  // Rows first_row .. first_row + rows - 1 of a step; both even if pictures are mixed. In the order of the
  // options, one call after the other, they are there already or soon; any other order works too. Throws what
  // the worker threw, of several the one with the lowest row.
  ImageBatch read(int64_t step, int64_t first_row, int64_t rows);
  // All rows of this process.
  ImageBatch read(int64_t step);

  // Which picture it is, without reading it: -1 behind the end of an evaluation.
  int64_t index_of(int64_t step, int64_t row) const;
  int64_t epoch_of(int64_t step) const { return step * options_.batch_size / set_->size(); }
  int64_t num_steps() const {
    return (set_->size() + options_.batch_size - 1) / options_.batch_size;
  }  // of an epoch

  // What was wrong with each picture that was left out of the batches that were read, in the order of their
  // places in the set.
  std::vector<std::string> damaged() const;

 private:
  class Pool;

  const ImageSet* set_;
  LoaderOptions options_;
  std::unique_ptr<Pool> pool_;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_DATA_LOADER_H_

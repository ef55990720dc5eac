// The sets of pictures that a model is trained and measured on.
#ifndef SEEDNORM_LAB_VISION_PICTURES_PICTURE_DATA_H_
#define SEEDNORM_LAB_VISION_PICTURES_PICTURE_DATA_H_

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "lab/nn/norm_layer.h"
#include "lab/train/config.h"
#include "lab/train/workload.h"
#include "lab/vision/data/loader.h"
#include "lab/vision/pictures/picture_config.h"

namespace seednorm::lab {

// [rows, size, size, 3] float32, in the batch's own memory.
at::Tensor tensor_of(std::vector<float> pixels, int64_t rows, int64_t size);

// The training set. Errors (UserError): no train_data, or none that can be read.
std::unique_ptr<ImageSet> open_training_set(const PictureConfig& config);
// The pictures that are measured: `rows` of the validation set, evenly spaced, or all of it if 0. Errors
// (UserError): it is the training set, or has other classes.
std::unique_ptr<ImageSet> open_measured_set(const PictureConfig& config, const ImageSet& training,
                                            int64_t rows);
// The number of classes of these pictures, which a model must have. Errors (UserError): its configuration
// wants another number; 0 accepts any.
int64_t classes_of(const PictureConfig& config, const ImageSet& training, int64_t wanted);

// The pictures of one pass.
struct PictureRows {
  at::Tensor pixels;            // [rows, size, size, 3] float32
  std::vector<int64_t> labels;  // [rows]
};

class PictureData {
 public:
  // Errors (UserError): see open_training_set and open_measured_set.
  PictureData(const PictureConfig& config, const TrainConfig& train, const AugmentOptions& training,
              const AugmentOptions& evaluation);

  const ImageSet& train_set() const { return *train_set_; }
  // Rows of a training step.
  PictureRows read(int64_t step, RowRange rows) const;

  // Pictures that are measured: train.eval_rows of them.
  int64_t num_measured() const { return measured_->size(); }
  // All of them in order, `rows` at a time; `first` counts them. Damaged ones are left out where the recipe
  // skips them. Errors (UserError): a damaged picture. (Interrupted): the user stopped the program.
  void for_measured(int64_t rows,
                    const std::function<void(int64_t first, const PictureRows& rows)>& work) const;
  // The first `count` of them, or fewer.
  PictureRows first_measured(int64_t count) const;

 private:
  LoaderOptions measuring(int64_t rows) const;

  PictureConfig config_;
  AugmentOptions evaluation_;
  std::unique_ptr<ImageSet> train_set_, measured_;
  std::unique_ptr<ImageLoader> loader_;
};

// Parameters, and what norms have of them; FLOPs are the caller's.
Counts counts_of(const std::vector<ParamInfo>& params,
                 const std::vector<std::pair<std::string, NormLayer*>>& norms, double flops_per_image);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_PICTURES_PICTURE_DATA_H_

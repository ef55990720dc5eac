// The sets of pictures that a model is trained and measured on.
#ifndef SEEDNORM_LAB_VISION_PICTURES_PICTURE_DATA_H_
#define SEEDNORM_LAB_VISION_PICTURES_PICTURE_DATA_H_

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <optional>
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
int64_t classes_of(const PictureConfig& config, const std::vector<std::string>& classes, int64_t wanted);

// The pictures that the loader left out, where settings allow that; see Workload::left_out. The loader may be
// null.
std::optional<std::vector<std::string>> left_out(const PictureConfig& config, const ImageLoader* loader);

// The pictures of one pass.
struct PictureRows {
  at::Tensor pixels;            // [rows, size, size, 3] float32; of latents [rows, size, size, channels]
  std::vector<int64_t> labels;  // [rows]
};

// What a model learns from and is measured on: pictures, or latents of them.
class PictureSource {
 public:
  virtual ~PictureSource() = default;
  // Of the training set.
  virtual int64_t size() const = 0;
  virtual const std::vector<std::string>& classes() const = 0;
  virtual std::string fingerprint() const = 0;
  // What the model sees of the first batch, as a PNG; empty if it cannot be shown.
  virtual std::string first_batch_png() const = 0;
  // As Workload's.
  virtual std::optional<std::vector<std::string>> left_out() const { return std::nullopt; }
  // Rows of a training step.
  virtual PictureRows read(int64_t step, RowRange rows) const = 0;
  // All that is measured in order, `rows` at a time; `first` counts them. Damaged ones are left out where the
  // recipe skips them, and there is a line for each of them in the result. Errors (UserError): a damaged
  // picture. (Interrupted): the user stopped the program.
  virtual std::vector<std::string> for_measured(
      int64_t rows, const std::function<void(int64_t first, const PictureRows& rows)>& work) const = 0;
};

class PictureData : public PictureSource {
 public:
  // Errors (UserError): see open_training_set and open_measured_set.
  PictureData(const PictureConfig& config, const TrainConfig& train, const AugmentOptions& training,
              const AugmentOptions& evaluation);

  int64_t size() const override { return train_set_->size(); }
  const std::vector<std::string>& classes() const override { return train_set_->classes(); }
  std::string fingerprint() const override { return train_set_->fingerprint(); }
  std::string first_batch_png() const override;
  std::optional<std::vector<std::string>> left_out() const override {
    return lab::left_out(config_, loader_.get());
  }
  PictureRows read(int64_t step, RowRange rows) const override;

  // Pictures that are measured: train.eval_rows of them.
  int64_t num_measured() const { return measured_->size(); }
  std::vector<std::string> for_measured(
      int64_t rows, const std::function<void(int64_t first, const PictureRows& rows)>& work) const override;
  // The first `count` of them, or fewer.
  PictureRows first_measured(int64_t count) const;

 private:
  LoaderOptions measuring(int64_t rows) const;

  PictureConfig config_;
  LoaderOptions training_;
  AugmentOptions evaluation_;
  std::unique_ptr<ImageSet> train_set_, measured_;
  std::unique_ptr<ImageLoader> loader_;
};

// The rows that a norm of this name has for each picture.
using NormRows = std::function<double(const std::string& norm)>;
// Parameters of a model, what its norms have of them, and the norms' FLOPs. FLOPs of matrix products are the
// caller's. BatchNorm counts as flops_of_row's norms with its two parameters.
Counts counts_of(const torch::nn::Module& model, double flops_per_image, const NormRows& rows);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_PICTURES_PICTURE_DATA_H_

// Latents as the data of a workload.
#ifndef SEEDNORM_LAB_VISION_PICTURES_LATENT_DATA_H_
#define SEEDNORM_LAB_VISION_PICTURES_LATENT_DATA_H_

#include <functional>
#include <string>
#include <vector>

#include "lab/vision/pictures/latent_set.h"
#include "lab/vision/pictures/picture_data.h"

namespace seednorm::lab {

// Each time that a latent is read it is sampled anew and, with probability `flip`, that of the mirrored
// picture: a function of (seed, step, row) alone. Measured ones are the same samples in every run.
class LatentData : public PictureSource {
 public:
  // Samples are multiplied by `scale`. Errors (UserError): no train_data or valid_data, the same folder for
  // both, other classes in one than in the other; see LatentSet.
  LatentData(const PictureConfig& config, const TrainConfig& train, int64_t channels, int64_t size,
             double scale);

  int64_t size() const override { return train_set_.size(); }
  const std::vector<std::string>& classes() const override { return train_set_.classes(); }
  std::string fingerprint() const override { return train_set_.fingerprint(); }
  std::string first_batch_png() const override { return ""; }
  PictureRows read(int64_t step, RowRange rows) const override;
  std::vector<std::string> for_measured(
      int64_t rows, const std::function<void(int64_t first, const PictureRows& rows)>& work) const override;

 private:
  // `count` latents; draws of row i are those of (seed, step, first + i).
  PictureRows sampled(const LatentSet& set, const std::vector<int64_t>& indices, double flip, uint64_t seed,
                      int64_t step, int64_t first) const;

  double flip_, scale_;
  uint64_t seed_;
  int64_t batch_size_, num_measured_, channels_, side_;
  LatentSet train_set_, measured_;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_PICTURES_LATENT_DATA_H_

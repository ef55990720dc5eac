// The workload "mae": a masked autoencoder that learns to make the patches of a picture that it does not see.
#ifndef SEEDNORM_LAB_VISION_MAE_WORKLOAD_H_
#define SEEDNORM_LAB_VISION_MAE_WORKLOAD_H_

#include <memory>
#include <string>
#include <vector>

#include "lab/train/config.h"
#include "lab/train/workload.h"
#include "lab/vision/mae/config.h"
#include "lab/vision/models/mae.h"
#include "lab/vision/pictures/picture_data.h"

namespace seednorm::lab {

class MaeWorkload : public Workload {
 public:
  // Errors (UserError): see PictureData; a model larger than the machine's memory. Errors
  // (std::invalid_argument): settings that cannot be.
  MaeWorkload(const MaeWorkloadConfig& config, const TrainConfig& train,
              Purpose purpose = Purpose::kTraining);

  torch::nn::Module& module() override { return *model_; }
  std::vector<ParamInfo> params() const override { return model_->params(); }
  std::string name() const override { return "mae"; }
  std::string unit() const override { return config_.unit(); }
  std::string loss_unit() const override { return "mean square error of masked patches"; }
  int64_t units_per_row() const override { return 1; }
  Counts counts() const override;
  Batch batch(int64_t step, RowRange rows) const override;
  std::optional<std::vector<std::string>> left_out() const override {
    return data_ ? data_->left_out() : std::nullopt;
  }
  Loss loss(const Batch& batch, double share) override;
  std::vector<std::unique_ptr<Probe>> probes() override;
  std::string first_batch_png() const override { return data_ ? data_->first_batch_png() : ""; }
  void save(const std::filesystem::path& folder) const override;
  void load(const std::filesystem::path& folder) override;
  std::string fingerprint() const override;
  std::string summary() const override;
  nlohmann::json model_config() const override;

  const MaeWorkloadConfig& config() const { return config_; }
  const TrainConfig& train() const { return train_; }
  Mae& model() const { return *model_; }
  // Null without data.
  const PictureData* data() const { return data_.get(); }

 private:
  MaeWorkloadConfig config_;
  TrainConfig train_;
  std::unique_ptr<PictureData> data_;
  std::shared_ptr<Mae> model_;
  at::Tensor random_pixels_;  // [batch_size, image_size, image_size, 3], in place of data
};

// The noise [rows, patches] that decides what is masked: of rows first, first + 1, ... of a step.
at::Tensor mask_noise(uint64_t seed, int64_t step, int64_t first_row, int64_t rows, int64_t patches);

// Loss of the measured pictures with masks of their own, the same whenever they are measured, and pictures
// that the model completes. The workload must outlive it.
std::unique_ptr<Probe> mae_probe(const MaeWorkload& workload);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_MAE_WORKLOAD_H_

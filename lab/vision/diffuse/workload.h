// The workload "diffuse": a DiT that learns to take noise out of pictures.
#ifndef SEEDNORM_LAB_VISION_DIFFUSE_WORKLOAD_H_
#define SEEDNORM_LAB_VISION_DIFFUSE_WORKLOAD_H_

#include <memory>
#include <string>
#include <vector>

#include "lab/train/config.h"
#include "lab/train/weight_average.h"
#include "lab/train/workload.h"
#include "lab/vision/diffuse/config.h"
#include "lab/vision/diffusion/diffusion.h"
#include "lab/vision/models/dit.h"
#include "lab/vision/pictures/picture_data.h"

namespace seednorm::lab {

// What is drawn for rows of a batch: how much noise, which, and whether the label is shown.
struct DiffusionDraws {
  at::Tensor t;          // [rows] int64: steps of the diffusion
  at::Tensor noise;      // like the pictures
  at::Tensor unlabeled;  // [rows] bool
};

class DiffuseWorkload : public Workload {
 public:
  // No classes become those of the data, in a benchmark ImageNet's 1,000. Errors (UserError): see
  // PictureData and LatentData; data with other classes than the model; a model larger than the machine's
  // memory. Errors (std::invalid_argument): settings that cannot be.
  DiffuseWorkload(const DiffuseConfig& config, const TrainConfig& train,
                  Purpose purpose = Purpose::kTraining);

  torch::nn::Module& module() override { return *model_; }
  std::vector<ParamInfo> params() const override { return model_->params(); }
  std::string name() const override { return "diffuse"; }
  std::string unit() const override { return config_.unit(); }
  std::string loss_unit() const override { return "mean square error, and bits"; }
  int64_t units_per_row() const override { return 1; }
  Counts counts() const override;
  Batch batch(int64_t step, RowRange rows) const override;
  std::optional<std::vector<std::string>> left_out() const override {
    return data_ ? data_->left_out() : std::nullopt;
  }
  WeightAverage* weight_average() const override { return average_.get(); }
  Loss loss(const Batch& batch, double share) override;
  std::vector<std::unique_ptr<Probe>> probes() override;
  std::string first_batch_png() const override { return data_ ? data_->first_batch_png() : ""; }
  void save(const std::filesystem::path& folder) const override;
  void load(const std::filesystem::path& folder) override;
  std::string fingerprint() const override;
  std::string summary() const override;
  nlohmann::json model_config() const override;

  const DiffuseConfig& config() const { return config_; }
  const TrainConfig& train() const { return train_; }
  Dit& model() const { return *model_; }
  // Null without data.
  const PictureSource* data() const { return data_.get(); }

  // For rows first_row, first_row + 1, ... of a step: a function of (seed, step, row) alone.
  DiffusionDraws draw(uint64_t seed, int64_t step, int64_t first_row, int64_t rows) const;
  // Of pictures [N, H, W, 3] with their labels [N].
  DiffusionLoss loss_of(const at::Tensor& pixels, const at::Tensor& labels, const at::Tensor& t,
                        const at::Tensor& noise) const;

 private:
  void open_data();

  DiffuseConfig config_;
  TrainConfig train_;
  Diffusion diffusion_;
  std::unique_ptr<PictureSource> data_;
  std::shared_ptr<Dit> model_;
  at::Tensor random_pixels_;  // [batch_size, input_size, input_size, channels], in place of data
  std::unique_ptr<WeightAverage> average_;  // null: none is wanted
};

// Loss of the measured pictures with noise of their own, the same whenever they are measured, and pictures
// that the model makes; of the averaged weights where there are some. The workload must outlive it.
std::unique_ptr<Probe> diffuse_probe(const DiffuseWorkload& workload);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_DIFFUSE_WORKLOAD_H_

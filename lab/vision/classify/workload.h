// The workload "classify": a model that names the class of a picture.
#ifndef SEEDNORM_LAB_VISION_CLASSIFY_WORKLOAD_H_
#define SEEDNORM_LAB_VISION_CLASSIFY_WORKLOAD_H_

#include <memory>
#include <string>
#include <vector>

#include "lab/train/weight_average.h"
#include "lab/train/workload.h"
#include "lab/vision/classify/config.h"
#include "lab/vision/data/loader.h"
#include "lab/vision/interop/image_model_dir.h"

namespace seednorm::lab {

class ClassifyWorkload : public Workload {
 public:
  // No classes become those of the data, in a benchmark ImageNet's 1,000. Errors (UserError): data that are
  // missing or have more classes than the model; settings that do not fit each other; a model larger than
  // the machine's memory. Errors (std::invalid_argument): settings that cannot be.
  ClassifyWorkload(const ClassifyConfig& config, const TrainConfig& train,
                   Purpose purpose = Purpose::kTraining);

  torch::nn::Module& module() override { return *model_; }
  std::vector<ParamInfo> params() const override { return model_->params(config_.layer_decay); }
  std::string name() const override { return "classify"; }
  std::string unit() const override { return config_.unit(); }
  std::string loss_unit() const override { return "nats per image"; }
  int64_t units_per_row() const override { return 1; }
  Counts counts() const override;
  Batch batch(int64_t step, RowRange rows) const override;
  std::optional<std::vector<std::string>> left_out() const override;
  WeightAverage* weight_average() const override { return average_.get(); }
  Loss loss(const Batch& batch, double share) override;
  std::vector<std::unique_ptr<Probe>> probes() override;
  std::string first_batch_png() const override;
  void save(const std::filesystem::path& folder) const override;
  void load(const std::filesystem::path& folder) override;
  std::string fingerprint() const override;
  std::string summary() const override;
  nlohmann::json model_config() const override;

  const ClassifyConfig& config() const { return config_; }
  const TrainConfig& train() const { return train_; }
  ImageModel& model() const { return *model_; }
  // Null without data.
  const ImageSet* set() const { return set_.get(); }

 private:
  void open_data();
  LoaderOptions loader_options() const;
  void build_model(Purpose purpose);
  void begin_with_encoder();
  // That a pass has all rows of a step, as the statistics of BatchNorm need. Errors (UserError): it has not.
  void check_whole_batch(int64_t rows) const;
  ImagePreprocessing preprocessing() const;

  ClassifyConfig config_;
  TrainConfig train_;
  std::unique_ptr<ImageSet> set_;
  std::unique_ptr<ImageLoader> loader_;
  bool drops_ = false;        // whether a norm has dropout
  at::Tensor random_pixels_;  // [batch_size, image_size, image_size, 3], in place of data
  std::shared_ptr<ImageModel> model_;
  std::unique_ptr<WeightAverage> average_;  // null: none is wanted
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_CLASSIFY_WORKLOAD_H_

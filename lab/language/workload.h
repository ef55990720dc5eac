// The workload "language": a decoder that predicts the next token of shards of text.
#ifndef SEEDNORM_LAB_LANGUAGE_WORKLOAD_H_
#define SEEDNORM_LAB_LANGUAGE_WORKLOAD_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lab/language/config.h"
#include "lab/language/data/batches.h"
#include "lab/language/data/token_stream.h"
#include "lab/language/data/tokenizer/tokenizer.h"
#include "lab/language/models/model.h"
#include "lab/train/config.h"
#include "lab/train/workload.h"

namespace seednorm::lab {

class LanguageWorkload : public Workload {
 public:
  // A vocabulary of 0 means that of the data, or in a benchmark that of OLMo's tokenizer. Errors
  // (UserError): data that are missing, truncated or have more ids than the model; a model larger than
  // the machine's memory. Errors (std::invalid_argument): invalid settings.
  LanguageWorkload(const LanguageConfig& config, const TrainConfig& train,
                   Purpose purpose = Purpose::kTraining);

  torch::nn::Module& module() override { return *model_; }
  std::vector<ParamInfo> params() const override { return model_->params(); }
  std::string name() const override { return "language"; }
  std::string unit() const override { return config_.unit(); }
  std::string loss_unit() const override { return "nats per token"; }
  int64_t units_per_row() const override { return config_.model.context; }
  bool begins_trained() const override { return !config_.init_from.empty(); }
  Counts counts() const override;
  Batch batch(int64_t step, RowRange rows) const override;
  Loss loss(const Batch& batch, double share) override;
  std::vector<std::unique_ptr<Probe>> probes() override;
  void save(const std::filesystem::path& folder) const override;
  void load(const std::filesystem::path& folder) override;
  std::string fingerprint() const override;
  std::string summary() const override;
  nlohmann::json model_config() const override;

  const LanguageConfig& config() const { return config_; }
  const TrainConfig& train() const { return train_; }
  const std::shared_ptr<Model>& model() const { return model_; }
  // The data's tokenizer as it was when the workload was made; empty if the data have none.
  const std::optional<Tokenizer>& tokenizer() const { return tokenizer_; }
  // Null without data.
  const TokenStream* stream() const { return stream_ ? &*stream_ : nullptr; }

 private:
  void open_data();
  void build_model(Purpose purpose);
  void begin_with_weights();

  LanguageConfig config_;
  TrainConfig train_;
  std::optional<TokenStream> stream_;
  std::optional<Batches> order_;
  at::Tensor random_tokens_;  // [batch_size, context + 1], used instead of data
  std::optional<Tokenizer> tokenizer_;
  std::shared_ptr<Model> model_;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_WORKLOAD_H_

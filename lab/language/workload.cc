#include "lab/language/workload.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <algorithm>

#include "lab/base/error.h"
#include "lab/base/file.h"
#include "lab/base/machine.h"
#include "lab/base/progress.h"
#include "lab/base/split_list.h"
#include "lab/language/interop/convert.h"
#include "lab/language/interop/hf_config.h"
#include "lab/language/interop/model_dir.h"
#include "lab/language/models/counts.h"
#include "lab/language/probes.h"
#include "lab/nn/loss.h"

namespace seednorm::lab {
namespace {

namespace fs = std::filesystem;
using at::Tensor;

// The 50,280 ids of the tokenizer of OLMo and OLMoE, rounded up as in their models.
constexpr int64_t kOlmoVocabSize = 50304;
constexpr int64_t kByteVocabSize = 257;  // of the byte tokenizer

// Errors (UserError): the settings describe another model than `there`, except for norms and what they allow
// to differ.
void check_same_but_norms(const std::string& where, const ModelConfig& there, const LanguageConfig& here) {
  LanguageConfig wanted = here, found = here;
  found.model = there;
  for (ModelConfig* m : {&wanted.model, &found.model}) m->norm_placement = m->placement();
  const Settings of_wanted = wanted.settings(), of_found = found.settings();
  for (size_t i = 0; i < of_wanted.size(); ++i) {
    const std::string& name = of_wanted[i].name;
    if (name.starts_with("norm.") || name == "context" || name == "init_std") continue;
    const std::string value = of_found[i].get();
    if (of_wanted[i].get() != value) {
      throw UserError(where + ": " + name + " is " + value + " there and " + of_wanted[i].get() +
                      " here; set " + name + "=" + value);
    }
  }
}

}  // namespace

std::unique_ptr<Workload> language_workload(const WorkloadConfig& config, const TrainConfig& train,
                                            Purpose purpose) {
  return std::make_unique<LanguageWorkload>(dynamic_cast<const LanguageConfig&>(config), train, purpose);
}

LanguageWorkload::LanguageWorkload(const LanguageConfig& config, const TrainConfig& train, Purpose purpose)
    : config_(config), train_(train) {
  int64_t& vocab_size = config_.model.vocab_size;
  if (purpose == Purpose::kTraining) open_data();
  if (vocab_size == 0) vocab_size = purpose == Purpose::kBenchmark ? kOlmoVocabSize : kByteVocabSize;
  config_.model.check();
  if (purpose == Purpose::kBenchmark) {
    random_tokens_ = at::randint(vocab_size, {train.batch_size, config_.model.context + 1}, at::kLong);
  }
  build_model(purpose);
}

void LanguageWorkload::open_data() {
  if (config_.train_data.empty()) {
    throw UserError(
        "train_data: no token shards given; make some with seednorm data tokenize, then train_data=FOLDER");
  }
  const std::vector<std::string> folders = split_list(config_.train_data);
  stream_ = TokenStream::open(folders);
  // It is read once, so that checkpoints have it even if the folder is gone by then. Shards that older
  // versions made come without one.
  if (fs::exists(fs::path(folders[0]) / kTokenizerFile)) tokenizer_ = tokenizer_of_set(folders[0]);
  int64_t& vocab_size = config_.model.vocab_size;
  if (vocab_size == 0) vocab_size = stream_->vocab_size();
  if (vocab_size < stream_->vocab_size()) {
    throw UserError("vocab_size: the data's tokenizer has " + std::to_string(stream_->vocab_size()) +
                    " ids, the model only " + std::to_string(vocab_size));
  }
  order_.emplace(*stream_, BatchOptions{.context = config_.model.context,
                                        .batch_size = train_.batch_size,
                                        .seed = static_cast<uint64_t>(train_.data_seed)});
}

void LanguageWorkload::build_model(Purpose purpose) {
  if (purpose == Purpose::kCounting) {
    model_ = std::make_shared<Model>(config_.model);
    return;
  }
  refuse_more_than_memory(16 * config_.model.estimated_params(),
                          "weights, gradients and AdamW's state of the model");
  if (begins_trained() && purpose == Purpose::kTraining) {
    begin_with_weights();
  } else {
    model_ = std::make_shared<Model>(config_.model, static_cast<uint64_t>(train_.seed));
  }
  model_->set_dtype(train_.dtype == Precision::kBFloat16 ? at::kBFloat16 : at::kFloat);
  model_->set_checkpointing(train_.checkpointing);
}

void LanguageWorkload::begin_with_weights() {
  const fs::path folder = config_.init_from;
  const std::string where = "init_from: " + folder.string();
  if (!fs::exists(folder / "config.json")) {
    throw UserError(where +
                    " has no config.json; expected a model directory, as RUN/checkpoints/step-00001000");
  }
  const std::unique_ptr<Model> old_model = load_model(folder);
  check_same_but_norms(where, old_model->config(), config_);
  const fs::path tokenizer = folder / kTokenizerFile;
  if (tokenizer_ && fs::exists(tokenizer) && Tokenizer::load(tokenizer).sha256() != tokenizer_->sha256()) {
    throw UserError(where + ": its tokenizer.json is not that of train_data; tokenize the data with it");
  }
  Conversion conversion;
  model_ = with_norms(*old_model, config_.model, &conversion);
  if (!conversion.lossless) {
    throw UserError(where + ": " + conversion.loss + "; training would begin with another model");
  }
}

Counts LanguageWorkload::counts() const { return count(*model_); }

Batch LanguageWorkload::batch(int64_t step, RowRange rows) const {
  const int64_t length = config_.model.context + 1;
  Batch out = {.tensors = {}, .units = rows.count * config_.model.context};
  if (!order_) {
    out.tensors = {random_tokens_.narrow(0, rows.first, rows.count)};
    return out;
  }
  Tensor sequences = at::empty({rows.count, length}, at::kLong);
  order_->read(step, rows.first, rows.count,
               {sequences.data_ptr<int64_t>(), static_cast<size_t>(sequences.numel())});
  out.tensors = {sequences};
  return out;
}

Loss LanguageWorkload::loss(const Batch& batch, double share) {
  const Tensor& sequences = batch.tensors[0];  // [R, context + 1]
  const int64_t length = sequences.size(1) - 1;
  std::vector<AuxiliaryLoss> layers;
  const Tensor hidden = model_->hidden(sequences.narrow(1, 0, length), &layers);
  const Tensor targets = sequences.narrow(1, 1, length).flatten();
  Loss out;
  const double scale = share / static_cast<double>(targets.numel());
  if (config_.z_loss_multiplier == 0) {
    out.total = linear_cross_entropy(hidden.flatten(0, 1), model_->head(), targets, scale);
    out.parts.emplace_back("loss", out.total);
  } else {
    const LossWithZ losses = linear_cross_entropy_with_z(hidden.flatten(0, 1), model_->head(), targets, scale,
                                                         config_.z_loss_multiplier);
    out.total = losses.total;
    out.parts.emplace_back("loss", losses.loss);
    out.parts.emplace_back("z_loss", losses.z);
  }
  if (layers.empty()) return out;
  // In the log, the means over layers are unweighted.
  const double each = share / static_cast<double>(layers.size());
  const double router_z_weight =
      config_.router_z_weight / static_cast<double>(config_.router_z_over_top_k ? config_.model.top_k : 1);
  Tensor balance, router_z;
  for (const AuxiliaryLoss& l : layers) {
    out.total = out.total + each * (config_.balance_weight * l.balance + router_z_weight * l.router_z);
    const Tensor b = each * l.balance.detach().to(at::kDouble),
                 z = each * l.router_z.detach().to(at::kDouble);
    balance = balance.defined() ? balance + b : b;
    router_z = router_z.defined() ? router_z + z : z;
  }
  out.parts.emplace_back("balance", balance);
  out.parts.emplace_back("router_z", router_z);
  return out;
}

std::vector<std::unique_ptr<Probe>> LanguageWorkload::probes() { return language_probes(*this); }

void LanguageWorkload::save(const fs::path& folder) const {
  nlohmann::json more = nlohmann::json::object();
  if (stream_ && stream_->eos_id()) more["eos_token_id"] = *stream_->eos_id();
  write_model(*model_, folder, at::kFloat, more);
  if (tokenizer_.has_value()) replace_file(folder / kTokenizerFile, tokenizer_->json());
}

void LanguageWorkload::load(const fs::path& folder) { load_weights(*model_, folder); }

std::string LanguageWorkload::fingerprint() const { return stream_ ? stream_->fingerprint() : ""; }

std::string LanguageWorkload::summary() const {
  int64_t params = 0;
  for (const ParamInfo& p : model_->params()) params += p.tensor.numel();
  std::string out = std::string(name_of(config_.model.family)) + ", " +
                    with_unit(static_cast<double>(params)) +
                    " parameters; norms: " + to_text(config_.model.norms) + "\n";
  if (stream_) out += with_unit(static_cast<double>(stream_->num_tokens())) + " tokens of data\n";
  return out;
}

nlohmann::json LanguageWorkload::model_config() const { return hf_config(config_.model, "float32"); }

}  // namespace seednorm::lab

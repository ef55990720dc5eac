#include "lab/language/models/model.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <cmath>
#include <stdexcept>

#include "lab/language/models/recompute.h"
#include "lab/nn/cpu/products.h"
#include "lab/nn/initial.h"

namespace seednorm::lab {
namespace {

using at::Tensor;

// The modules "model" and "model.layers", which hold others, and the embedding.
class Holder : public torch::nn::Module {};

class Embedding : public torch::nn::Module, public HasRoles {
 public:
  Embedding(int64_t count, int64_t dim) { weight = register_parameter("weight", at::empty({count, dim})); }
  Role role(const std::string&) const override { return Role::kEmbedding; }
  Tensor weight;
};
class Scale : public torch::nn::Module, public HasRoles {
 public:
  explicit Scale(double value) { weight = register_parameter("weight", at::full({1}, value)); }
  Role role(const std::string&) const override { return Role::kGain; }
  Tensor weight;
};

std::shared_ptr<Block> make_block(const ModelConfig& config, int64_t layer) {
  switch (config.family) {
#define SEEDNORM_MODEL(name) \
  case Family::k_##name:     \
    return make_##name##_block(config, layer);
#include "lab/language/models/models.def"
#undef SEEDNORM_MODEL
  }
  throw std::invalid_argument("family: unknown");
}

const ModelConfig& checked(const ModelConfig& config) {
  config.check();
  return config;
}

// Normal values, cut off at three standard deviations as in OLMo's initialization, by the inverse of the
// distribution.
void fill_normal(Tensor t, double std, const at::Generator& generator) {
  const double inside = std::erf(3 / std::sqrt(2.0));  // probability of being within
  t.uniform_(-inside, inside, generator).erfinv_().mul_(std * std::sqrt(2.0));
}

}  // namespace

Model::Model(const ModelConfig& config, uint64_t seed) : Model(config) { initialize(seed); }

Model::Model(const ModelConfig& config)
    : config_(checked(config)), rope_(config.dim / config.num_heads, config.context, config.rope_theta) {
  config_.norms.set_eps(config.norm_eps);
  rope_.follow(*this);
  const auto body = register_module("model", std::make_shared<Holder>());
  const auto embedding = std::make_shared<Embedding>(config.vocab_size, config.dim);
  embedding_ = body->register_module("embed_tokens", embedding)->weight;
  if (config.embedding_scale) {
    const auto scale = std::make_shared<Scale>(std::sqrt(static_cast<double>(config.dim)));
    embedding_scale_ = body->register_module("embed_scale", scale)->weight;
  }
  const auto layers = body->register_module("layers", std::make_shared<Holder>());
  for (int64_t i = 0; i < config.num_layers; ++i) {
    blocks_.push_back(layers->register_module(std::to_string(i), make_block(config_, i)));
  }
  norm_ = body->register_module("norm", std::make_shared<NormLayer>(config_.norms["output"], config.dim));
  head_ = embedding_;
  if (!config.tied) {
    head_ = register_module("lm_head", std::make_shared<Linear>(config.dim, config.vocab_size))->weight;
  }
}

void Model::initialize(uint64_t seed) {
  const at::NoGradGuard no_grad;
  for (const ParamInfo& p : params()) {
    if (p.role == Role::kMatrix || p.role == Role::kEmbedding) {
      fill_normal(p.tensor, config_.init_std, generator_of(seed, p.name));
    }
  }
}

template <class Layer>
Tensor Model::run(const Tensor& tokens, const Layer& layer) {
  Stream stream = {at::embedding(embedding_, tokens).to(dtype_), {}};
  if (embedding_scale_.defined()) stream.x = stream.x * embedding_scale_.to(dtype_);
  if (stream_scale_ != 1) stream.x = stream.x * stream_scale_;
  for (size_t i = 0; i < blocks_.size(); ++i) stream = layer(i, stream);
  return stream.delta.defined() ? norm_->add(stream.delta, stream.x).first : norm_->forward(stream.x);
}

Tensor Model::hidden(const Tensor& tokens, std::vector<AuxiliaryLoss>* losses) {
  const bool again = checkpointing_ && at::GradMode::is_enabled();
  return run(tokens, [&](size_t i, const Stream& in) {
    return again ? checkpointed(*blocks_[i], in, rope_, losses) : blocks_[i]->forward(in, {rope_}, losses);
  });
}

Tensor Model::hidden(const Tensor& tokens, const Packing& packing) {
  const Rope rope = rope_.at(packing.positions());
  return run(tokens, [&](size_t i, const Stream& in) {
    return blocks_[i]->forward(in, {.rope = rope, .packing = &packing}, nullptr);
  });
}

Tensor Model::hidden(const Tensor& tokens, KvCache& past) {
  past.check_room(tokens.size(1));
  const Tensor out = run(tokens, [&](size_t i, const Stream& in) {
    const KvLayer layer = past.layer(static_cast<int64_t>(i));
    return blocks_[i]->forward(in, {.rope = rope_, .past = &layer}, nullptr);
  });
  past.advance(tokens.size(1));
  return out;
}

KvCache Model::make_cache(int64_t rows, int64_t capacity) const {
  return KvCache({.num_layers = config_.num_layers,
                  .rows = rows,
                  .kv_heads = config_.num_kv_heads,
                  .capacity = capacity,
                  .head_width = config_.dim / config_.num_heads},
                 at::TensorOptions(dtype_).device(head_.device()));
}

Tensor Model::project(const Tensor& hidden) const { return product(hidden, head_).to(at::kFloat); }

std::vector<std::pair<std::string, NormLayer*>> Model::norms() const {
  std::vector<std::pair<std::string, NormLayer*>> out;
  for (const auto& module : named_modules({}, /*include_self=*/false)) {
    if (auto* norm = dynamic_cast<NormLayer*>(module.value().get())) out.emplace_back(module.key(), norm);
  }
  return out;
}

}  // namespace seednorm::lab

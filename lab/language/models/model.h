// A decoder-only language model: the parts that all families share.
#ifndef SEEDNORM_LAB_LANGUAGE_MODELS_MODEL_H_
#define SEEDNORM_LAB_LANGUAGE_MODELS_MODEL_H_

#include <memory>
#include <string>
#include <vector>

#include "lab/language/models/config.h"
#include "lab/language/nn/attention.h"
#include "lab/nn/feed_forward.h"
#include "lab/nn/frac.h"
#include "lab/nn/norm_layer.h"
#include "lab/nn/param_info.h"

namespace seednorm::lab {

// The residual stream between sublayers, x + delta. delta is the last sublayer's output, which is not added
// yet so that the next norm can add it in the same pass. It is undefined if there is nothing to add.
struct Stream {
  at::Tensor x;      // [B, T, D]
  at::Tensor delta;  // [B, T, D]
};

// One layer of a model.
class Block : public torch::nn::Module {
 public:
  virtual Stream forward(const Stream& in, const Surroundings& around,
                         std::vector<AuxiliaryLoss>* losses) = 0;
};
// Each family's block; the family's file defines it. `layer` counts from 0.
#define SEEDNORM_MODEL(name) \
  std::shared_ptr<Block> make_##name##_block(const ModelConfig& config, int64_t layer);
#include "lab/language/models/models.def"
#undef SEEDNORM_MODEL

// Names of modules and parameters are Hugging Face's.
class Model : public torch::nn::Module {
 public:
  // `seed` and the name of a parameter determine its initial values, so that models that differ in their
  // norms share the other weights. Errors (std::invalid_argument): see ModelConfig::check and NormLayer.
  Model(const ModelConfig& config, uint64_t seed);
  // Leaves matrices and embeddings uninitialized, to be loaded; memory that is never written is never
  // allocated.
  explicit Model(const ModelConfig& config);

  // Sets the dtype of activations (float32 or bfloat16); parameters stay float32.
  void set_dtype(at::ScalarType dtype) { dtype_ = dtype; }
  // Recompute each layer's activations in backward instead of keeping them.
  void set_checkpointing(bool on) { checkpointing_ = on; }
  // Multiplies the residual stream behind the embedding by `scale` in all later passes.
  void set_stream_scale(double scale) { stream_scale_ = scale; }

  // tokens [B, T] int64 -> final hidden states after the output norm [B, T, D].
  at::Tensor hidden(const at::Tensor& tokens, std::vector<AuxiliaryLoss>* losses = nullptr);
  // The same for sequences packed in one row: tokens [1, T] -> [1, T, D].
  at::Tensor hidden(const at::Tensor& tokens, const Packing& packing);
  // The same for tokens that continue the sequences of `past`, and are appended to them; only these
  // tokens go through the layers. Without gradients (at::NoGradGuard). Errors (std::invalid_argument): tokens
  // beyond the cache's capacity or the model's context.
  at::Tensor hidden(const at::Tensor& tokens, KvCache& past);
  // An empty cache for sequences of up to `capacity` tokens.
  KvCache make_cache(int64_t rows, int64_t capacity) const;
  // [B, T] -> [B, T, vocab_size] float32.
  at::Tensor logits(const at::Tensor& tokens) { return project(hidden(tokens)); }
  // Hidden states [..., D] -> logits [..., vocab_size] float32.
  at::Tensor project(const at::Tensor& hidden) const;
  // The matrix of the head [vocab_size, D], which may be the embedding's.
  const at::Tensor& head() const { return head_; }

  const ModelConfig& config() const { return config_; }
  // Every parameter once, in a fixed order.
  std::vector<ParamInfo> params() const { return params_of(*this); }
  // Every norm with its name, in a fixed order.
  std::vector<std::pair<std::string, NormLayer*>> norms() const;

 private:
  void initialize(uint64_t seed);
  // layer(i, stream) is the stream after block i.
  template <class Layer>
  at::Tensor run(const at::Tensor& tokens, const Layer& layer);

  ModelConfig config_;
  Rope rope_;
  at::ScalarType dtype_ = at::kFloat;
  bool checkpointing_ = false;
  double stream_scale_ = 1;
  std::vector<std::shared_ptr<Block>> blocks_;
  std::shared_ptr<NormLayer> norm_;
  at::Tensor embedding_, embedding_scale_, head_;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_MODELS_MODEL_H_

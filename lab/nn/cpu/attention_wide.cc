// Attention whose products are float32 or float64; bfloat16 is widened, a head at a time.
#include <ATen/Functions.h>

#include <algorithm>
#include <cmath>

#include "lab/nn/cpu/attention_head.h"
#include "lab/nn/cpu/attention_kernels.h"
#include "lab/nn/dtype.h"

namespace seednorm::lab {
namespace {

using at::Tensor;

class WideHeads final : public AttentionHeads {
 public:
  explicit WideHeads(const Tensor& q)
      : options_(q.options().dtype(q.scalar_type() == at::kDouble ? at::kDouble : at::kFloat)),
        length_(q.size(1)),
        scale_(1 / std::sqrt(static_cast<double>(q.size(3)))),
        scores_(at::empty({kAttentionRows * length_}, options_)),
        dweights_(at::empty({0}, options_)),
        rows_(at::empty({length_, q.size(3)}, options_)) {}

  void forward(const HeadInputs& in, const Tensor& out, const Tensor& values) override {
    const Tensor q = wide(in.q), k = wide(in.k), v = wide(in.v);
    for_blocks([&](int64_t first, int64_t last) {
      const Tensor s = matrix(scores_, last - first, last);
      at::mm_out(const_cast<Tensor&>(s), q.slice(0, first, last), k.slice(0, 0, last).t());
      const Tensor largest = values.select(0, 0).slice(0, first, last),
                   inverse = values.select(0, 1).slice(0, first, last);
      attention_weights({.block = block(first, last),
                         .tile = last,
                         .scores = s.const_data_ptr(),
                         .weights = s.data_ptr(),
                         .largest = largest.data_ptr(),
                         .inverse = inverse.data_ptr()});
      Tensor o = rows_.slice(0, first, last);
      at::mm_out(o, s, v.slice(0, 0, last));
      o.mul_(inverse.unsqueeze(1));
    });
    out.copy_(rows_);
  }

  void begin_gradients(const Tensor& k, const Tensor& v) override {
    if (dweights_.numel() == 0) dweights_ = at::empty_like(scores_);
    k_ = wide(k);
    v_ = wide(v);
    dk_ = at::zeros(k.sizes(), options_);
    dv_ = at::zeros(v.sizes(), options_);
  }

  void backward(const Tensor& query, const Tensor& out, const Tensor& dout, const Tensor& values,
                const Tensor& dq) override {
    const Tensor q = wide(query), dy = wide(dout);
    const Tensor delta = at::mul(dy, wide(out)).sum(-1);
    for_blocks([&](int64_t first, int64_t last) {
      const int64_t rows = last - first;
      const Tensor q_rows = q.slice(0, first, last), dy_rows = dy.slice(0, first, last);
      const Tensor k_seen = k_.slice(0, 0, last), v_seen = v_.slice(0, 0, last);
      Tensor s = matrix(scores_, last, rows), dp = matrix(dweights_, last, rows);
      at::mm_out(s, k_seen, q_rows.t());
      at::mm_out(dp, v_seen, dy_rows.t());
      const auto of_rows = [&](const Tensor& x) { return x.slice(0, first, last).const_data_ptr(); };
      attention_gradients({.block = block(first, last),
                           .scores = s.const_data_ptr(),
                           .dweights = dp.const_data_ptr(),
                           .largest = of_rows(values.select(0, 0)),
                           .inverse = of_rows(values.select(0, 1)),
                           .delta = of_rows(delta),
                           .weights = s.data_ptr(),
                           .dscores = dp.data_ptr(),
                           .pairs = nullptr});
      dv_.slice(0, 0, last).addmm_(s, dy_rows);
      dk_.slice(0, 0, last).addmm_(dp, q_rows, /*beta=*/1, scale_);
      Tensor dq_rows = rows_.slice(0, first, last);
      at::addmm_out(dq_rows, dq_rows, dp.t(), k_seen, /*beta=*/0, scale_);
    });
    dq.copy_(rows_);
  }

  void end_gradients(const Tensor& dk, const Tensor& dv) override {
    dk.copy_(dk_);
    dv.copy_(dv_);
  }

 private:
  Tensor wide(const Tensor& x) const { return x.to(options_.dtype().toScalarType()); }
  static Tensor matrix(const Tensor& buffer, int64_t rows, int64_t columns) {
    return buffer.narrow(0, 0, rows * columns).view({rows, columns});
  }
  AttentionBlock block(int64_t first, int64_t last) const {
    const DType dtype = dtype_of(scores_);
    return {.dtype = dtype,
            .weight_dtype = dtype,
            .queries = last - first,
            .keys = last,
            .first = first,
            .scale = scale_};
  }
  template <class Work>
  void for_blocks(const Work& work) const {
    for (int64_t first = 0; first < length_; first += kAttentionRows)
      work(first, std::min(first + kAttentionRows, length_));
  }

  at::TensorOptions options_;
  int64_t length_;
  double scale_;
  Tensor scores_, dweights_;  // of a block
  Tensor rows_;               // out, or dq
  Tensor k_, v_, dk_, dv_;    // of the heads that share k and v
};

}  // namespace

std::unique_ptr<AttentionHeads> wide_attention_heads(const Tensor& q) {
  return std::make_unique<WideHeads>(q);
}

}  // namespace seednorm::lab

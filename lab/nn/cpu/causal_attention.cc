// libtorch's own attention for CPUs reaches a third of its matrix products' speed in float32 and a fifth in
// bfloat16 (docs/notes/training_speed.md). Here a thread takes a head and walks its rows in blocks whose
// scores stay in the second-level cache; products, softmax and its gradient are libtorch's, on those blocks.
#include "lab/nn/cpu/causal_attention.h"

#include <ATen/Functions.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "lab/base/parallel.h"
#include "lab/nn/cpu/one_thread.h"
#include "lab/nn/device.h"

namespace seednorm::lab {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Rows of scores at a time: with fewer, products are slow; with more, more of what the mask hides is
// computed. Of 64, 128, 256 and 512, 128 is the fastest by a third at 512 tokens and heads of 64.
constexpr int64_t kRows = 128;

// The buffers of a thread.
class Tile {
 public:
  explicit Tile(const Tensor& q)
      : options_(q.options().dtype(q.scalar_type() == at::kDouble ? at::kDouble : at::kFloat)),
        length_(q.size(1)),
        width_(q.size(3)),
        scale_(1 / std::sqrt(static_cast<double>(width_))),
        scores_(at::empty({kRows * length_}, options_)),
        hidden_(at::full({kRows, kRows}, -std::numeric_limits<double>::infinity(), options_).triu_(1)) {}

  int64_t length() const { return length_; }
  double scale() const { return scale_; }

  // [T, d]
  Tensor matrix() const { return at::empty({length_, width_}, options_); }
  // Head h of sequence b of x, in the dtype of the scores: a view, or a copy.
  Tensor head(const Tensor& x, int64_t b, int64_t h) const {
    return x.select(0, b).select(1, h).to(options_.dtype().toScalarType());
  }

  // Probabilities of rows first .. last - 1 over positions 0 .. last - 1; valid until the next call.
  Tensor probabilities(const Tensor& q, const Tensor& k, int64_t first, int64_t last) const {
    const int64_t rows = last - first;
    Tensor p = scores_.narrow(0, 0, rows * last).view({rows, last});
    at::addmm_out(p, p, q.slice(0, first, last), k.slice(0, 0, last).t(), /*beta=*/0, scale_);
    p.narrow(1, first, rows).add_(hidden_.narrow(0, 0, rows).narrow(1, 0, rows));
    at::_softmax_out(p, p, -1, /*half_to_float=*/false);
    return p;
  }

 private:
  at::TensorOptions options_;
  int64_t length_, width_;
  double scale_;
  Tensor scores_;
  Tensor hidden_;  // -inf above the diagonal
};

// Runs work(tile, b, h) for all b and h; a thread has one tile.
template <class Work>
void for_heads(const Tensor& q, int64_t heads, const Work& work) {
  parallel_for(0, q.size(0) * heads, 1, [&](int64_t begin, int64_t end) {
    const at::AutoDispatchBelowADInplaceOrView no_graph;
    const OneThread alone;
    const Tile tile(q);
    for (int64_t i = begin; i < end; ++i) work(tile, i / heads, i % heads);
  });
}

template <class Work>
void for_blocks(int64_t length, const Work& work) {
  for (int64_t first = 0; first < length; first += kRows) work(first, std::min(first + kRows, length));
}

struct AttentionFunction : torch::autograd::Function<AttentionFunction> {
  static Tensor forward(AutogradContext* ctx, const Tensor& q, const Tensor& k, const Tensor& v) {
    const int64_t group = q.size(2) / k.size(2);
    Tensor out = at::empty(q.sizes(), q.options());
    for_heads(q, q.size(2), [&](const Tile& tile, int64_t b, int64_t h) {
      const Tensor qh = tile.head(q, b, h), kh = tile.head(k, b, h / group), vh = tile.head(v, b, h / group);
      Tensor oh = tile.matrix();
      for_blocks(tile.length(), [&](int64_t first, int64_t last) {
        Tensor rows = oh.slice(0, first, last);
        at::mm_out(rows, tile.probabilities(qh, kh, first, last), vh.slice(0, 0, last));
      });
      out.select(0, b).select(1, h).copy_(oh);
    });
    ctx->save_for_backward({q, k, v, out});
    return out;
  }

  // With P = softmax(S) and dP = dO V^T: dV = P^T dO, dS = P (dP - delta) with delta = rowsum(dP P) =
  // rowsum(dO O), dQ = dS K, dK = dS^T Q. A thread takes all heads that share k and v, so that sums do not
  // depend on the threads; libtorch's gradient of softmax would.
  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const variable_list saved = ctx->get_saved_variables();
    const Tensor &q = saved[0], &k = saved[1], &v = saved[2], &out = saved[3], &dout = grads[0];
    const int64_t group = q.size(2) / k.size(2);
    Tensor dq = at::empty(q.sizes(), q.options()), dk = at::empty(k.sizes(), k.options()),
           dv = at::empty(v.sizes(), v.options());
    for_heads(q, k.size(2), [&](const Tile& tile, int64_t b, int64_t kv) {
      const Tensor kh = tile.head(k, b, kv), vh = tile.head(v, b, kv);
      Tensor dqh = tile.matrix(), dkh = tile.matrix().zero_(), dvh = tile.matrix().zero_();
      Tensor scratch = at::empty({kRows * tile.length()}, kh.options());
      for (int64_t h = kv * group; h < (kv + 1) * group; ++h) {
        const Tensor qh = tile.head(q, b, h), doh = tile.head(dout, b, h);
        const Tensor delta = at::mul(doh, tile.head(out, b, h)).sum(-1, /*keepdim=*/true);
        for_blocks(tile.length(), [&](int64_t first, int64_t last) {
          const Tensor p = tile.probabilities(qh, kh, first, last);
          const Tensor q_rows = qh.slice(0, first, last), do_rows = doh.slice(0, first, last);
          const Tensor k_seen = kh.slice(0, 0, last), v_seen = vh.slice(0, 0, last);
          dvh.slice(0, 0, last).addmm_(p.t(), do_rows);
          Tensor ds = scratch.narrow(0, 0, p.numel()).view(p.sizes());
          at::mm_out(ds, do_rows, v_seen.t());
          ds.sub_(delta.slice(0, first, last)).mul_(p);
          Tensor dq_rows = dqh.slice(0, first, last);
          at::addmm_out(dq_rows, dq_rows, ds, k_seen, /*beta=*/0, tile.scale());
          dkh.slice(0, 0, last).addmm_(ds.t(), q_rows, /*beta=*/1, tile.scale());
        });
        dq.select(0, b).select(1, h).copy_(dqh);
      }
      dk.select(0, b).select(1, kv).copy_(dkh);
      dv.select(0, b).select(1, kv).copy_(dvh);
    });
    return {dq, dk, dv};
  }
};

}  // namespace

Tensor causal_attention(const Tensor& q, const Tensor& k, const Tensor& v) {
  if (!uses_cpu_kernels(q)) {
    return at::scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), {},
                                            /*dropout_p=*/0, /*is_causal=*/true, /*scale=*/{},
                                            /*enable_gqa=*/q.size(2) != k.size(2))
        .transpose(1, 2);
  }
  return AttentionFunction::apply(q, k, v);
}

}  // namespace seednorm::lab

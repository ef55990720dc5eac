// libtorch's own attention for CPUs reaches a third of its matrix products' speed in float32 and a fifth in
// bfloat16 (docs/notes/training_speed.md). Here a thread takes a head and walks its queries in blocks whose
// scores stay in the second-level cache.
#include "lab/nn/cpu/causal_attention.h"

#include <ATen/Functions.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>

#include "lab/base/parallel.h"
#include "lab/nn/cpu/attention_head.h"
#include "lab/nn/cpu/one_thread.h"
#include "lab/nn/device.h"

namespace seednorm::lab {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Runs work(heads, b, h) for all b and h; a thread has one AttentionHeads.
template <class Work>
void for_heads(const Tensor& q, int64_t heads, const Work& work) {
  parallel_for(0, q.size(0) * heads, 1, [&](int64_t begin, int64_t end) {
    const at::AutoDispatchBelowADInplaceOrView no_graph;
    const OneThread alone;
    const std::unique_ptr<AttentionHeads> kernels = attention_heads(q);
    for (int64_t i = begin; i < end; ++i) work(*kernels, i / heads, i % heads);
  });
}

// [T, d] of head h of sequence b.
Tensor head(const Tensor& x, int64_t b, int64_t h) { return x.select(0, b).select(1, h); }

// [2, B, H, T] of the scores of each query: the largest, and 1 / the sum of exp(score - largest).
Tensor row_values(const Tensor& q) {
  const auto dtype = q.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  return at::empty({2, q.size(0), q.size(2), q.size(1)}, q.options().dtype(dtype));
}

struct AttentionFunction : torch::autograd::Function<AttentionFunction> {
  static Tensor forward(AutogradContext* ctx, const Tensor& q, const Tensor& k, const Tensor& v) {
    const int64_t group = q.size(2) / k.size(2);
    Tensor out = at::empty(q.sizes(), q.options());
    const Tensor values = row_values(q);
    for_heads(q, q.size(2), [&](AttentionHeads& heads, int64_t b, int64_t h) {
      const int64_t kv = h / group;
      heads.forward({head(q, b, h), head(k, b, kv), head(v, b, kv)}, head(out, b, h),
                    values.select(1, b).select(1, h));
    });
    ctx->save_for_backward({q, k, v, out, values});
    return out;
  }

  // A thread takes all heads that share k and v, so that sums do not depend on the threads; libtorch's
  // gradient of softmax would.
  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const variable_list saved = ctx->get_saved_variables();
    const Tensor &q = saved[0], &k = saved[1], &v = saved[2], &out = saved[3], &values = saved[4],
                 &dout = grads[0];
    const int64_t group = q.size(2) / k.size(2);
    const Tensor dq = at::empty(q.sizes(), q.options()), dk = at::empty(k.sizes(), k.options()),
                 dv = at::empty(v.sizes(), v.options());
    for_heads(q, k.size(2), [&](AttentionHeads& heads, int64_t b, int64_t kv) {
      heads.begin_gradients(head(k, b, kv), head(v, b, kv));
      for (int64_t h = kv * group; h < (kv + 1) * group; ++h) {
        heads.backward(head(q, b, h), head(out, b, h), head(dout, b, h), values.select(1, b).select(1, h),
                       head(dq, b, h));
      }
      heads.end_gradients(head(dk, b, kv), head(dv, b, kv));
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

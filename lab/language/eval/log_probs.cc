#include "lab/language/eval/log_probs.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <algorithm>

#include "lab/nn/cpu/multiply.h"
#include "lab/nn/cpu/one_thread.h"

namespace seednorm::lab {

using at::Tensor;

Tensor log_probs(const Tensor& hidden, const Tensor& head, const Tensor& targets) {
  constexpr int64_t kNumbers = kLogitBytes / 4;
  const int64_t vocab = head.size(0), widest = std::max(hidden.size(0), hidden.size(1));
  const int64_t step = std::clamp<int64_t>(kNumbers / widest, 1, vocab);
  Tensor total, chosen = at::zeros({hidden.size(0)}, hidden.options().dtype(at::kFloat));
  for (int64_t first = 0; first < vocab; first += step) {
    const int64_t count = std::min(step, vocab - first);
    const Tensor part = head.narrow(0, first, count).to(hidden.scalar_type());
    const Tensor products = at::empty({hidden.size(0), count}, hidden.options());
    multiply(products, hidden, part.t());
    const Tensor logits = products.to(at::kFloat);
    const Tensor sum = at::logsumexp(logits, 1);
    const OneThread alone;  // logaddexp differs in bits where a thread's part ends
    total = total.defined() ? at::logaddexp(total, sum) : sum;
    const Tensor index = targets - first, inside = index.ge(0).logical_and_(index.lt(count));
    const Tensor here = logits.gather(1, index.clamp(0, count - 1).unsqueeze(1)).squeeze(1);
    chosen = at::where(inside, here, chosen);
  }
  const Tensor out = chosen - total;
  if (!at::isfinite(out).all().item<bool>()) throw NotFinite();
  return out;
}

}  // namespace seednorm::lab

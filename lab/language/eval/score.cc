#include "lab/language/eval/score.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <algorithm>
#include <cmath>

#include "lab/base/interrupt.h"
#include "lab/language/eval/log_probs.h"

namespace seednorm::lab {
namespace {

using at::Tensor;

// Tokens begin .. begin + count - 1.
Tensor some(std::span<const int64_t> ids, int64_t begin, int64_t count) {
  return at::tensor(at::ArrayRef<int64_t>(ids.data() + begin, static_cast<size_t>(count)), at::kLong);
}

// Windows of the same size in one pass.
void run(Model& model, std::span<const int64_t> ids, std::span<const Window> windows,
         std::vector<float>& out) {
  std::vector<Tensor> inputs, targets;
  for (const Window& w : windows) {
    inputs.push_back(some(ids, w.begin, w.inputs));
    targets.push_back(some(ids, w.begin + w.skipped + 1, w.inputs - w.skipped));
  }
  const at::Device device = model.head().device();
  const Tensor hidden = model.hidden(at::stack(inputs).to(device));
  std::vector<Tensor> rows;
  for (size_t i = 0; i < windows.size(); ++i) {
    rows.push_back(hidden[static_cast<int64_t>(i)].slice(0, windows[i].skipped));
  }
  const Tensor values = log_probs(at::cat(rows), model.head(), at::cat(targets).to(device)).cpu();
  const float* next = values.const_data_ptr<float>();
  for (const Window& w : windows) {
    std::copy_n(next, w.inputs - w.skipped, out.begin() + w.begin + w.skipped);
    next += w.inputs - w.skipped;
  }
}

}  // namespace

TokenScores score_tokens(Model& model, std::span<const int64_t> ids, std::span<const Window> windows,
                         const ScoreOptions& options) {
  const at::NoGradGuard no_grad;
  TokenScores out;
  out.log_probs.assign(ids.size() - 1, std::nanf(""));
  for (size_t next = 0; next < windows.size();) {
    check_interrupt();
    size_t end = next + 1;
    while (end < windows.size() && end - next < static_cast<size_t>(options.batch) &&
           windows[end].inputs == windows[next].inputs) {
      ++end;
    }
    run(model, ids, windows.subspan(next, end - next), out.log_probs);
    next = end;
    options.report(static_cast<int64_t>(next), static_cast<int64_t>(windows.size()));
  }
  for (const Window& w : windows) {
    for (int64_t i = w.begin + w.skipped; i < w.begin + w.inputs; ++i) {
      out.total -= out.log_probs[static_cast<size_t>(i)];
      ++out.tokens;
    }
  }
  return out;
}

}  // namespace seednorm::lab

#include "lab/dist/gradient_norm.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>

#include "lab/base/parallel.h"

namespace seednorm::lab {
namespace {

using at::Tensor;

constexpr int64_t kChunk = Shards::kChunk;
int64_t chunks_of(int64_t count) { return (count + kChunk - 1) / kChunk; }

// The order of the sum is that of eight interleaved ones, which compilers turn into vectors.
double sum_of_squares(const float* x, int64_t count) {
  constexpr int64_t kLanes = 8;
  std::array<double, kLanes> lanes = {};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (int64_t l = 0; l < kLanes; ++l) {
      const double value = x[i + l];
      lanes[l] += value * value;
    }
  }
  double sum = 0;
  for (; i < count; ++i) sum += static_cast<double>(x[i]) * x[i];
  for (const double lane : lanes) sum += lane;
  return sum;
}

// The sums of the chunks of a rank's ranges, parameter after parameter.
std::vector<double> chunk_sums(const std::vector<Tensor>& gradients) {
  std::vector<double> out;
  for (const Tensor& g : gradients) {
    if (!g.defined()) continue;
    const Tensor flat = g.contiguous();
    const float* x = flat.const_data_ptr<float>();
    const size_t first = out.size();
    const int64_t count = flat.numel();
    out.resize(first + chunks_of(count));
    parallel_for(0, chunks_of(count), 16, [&](int64_t begin, int64_t end) {
      for (int64_t c = begin; c < end; ++c) {
        out[first + c] = sum_of_squares(x + c * kChunk, std::min(kChunk, count - c * kChunk));
      }
    });
  }
  return out;
}

}  // namespace

Tensor gradient_norm(const std::vector<Tensor>& gradients, const Shards& shards, const Group& group) {
  std::vector<double> own = chunk_sums(gradients);
  double total = 0;
  if (group.size() == 1) {
    for (const double sum : own) total += sum;
    return at::scalar_tensor(std::sqrt(total), at::kDouble);
  }
  // A parameter without a gradient has none on any rank, and then all ranks leave it out.
  std::vector<std::vector<int64_t>> chunks(shards.sizes().size(), std::vector<int64_t>(group.size()));
  std::vector<int64_t> totals(group.size());
  for (size_t p = 0; p < chunks.size(); ++p) {
    for (int r = 0; r < group.size(); ++r) {
      chunks[p][r] = chunks_of(shards.range_of(p, r).count());
      totals[r] += chunks[p][r];
    }
  }
  const int64_t longest = *std::max_element(totals.begin(), totals.end());
  Tensor mine = at::zeros({longest}, at::kDouble);
  // Gradients that are absent count as zeros here.
  auto* to = mine.data_ptr<double>();
  size_t from = 0;
  for (size_t p = 0; p < chunks.size(); ++p) {
    const int64_t count = chunks[p][group.rank()];
    if (gradients[p].defined()) {
      std::copy_n(own.begin() + static_cast<int64_t>(from), count, to);
      from += count;
    }
    to += count;
  }
  const Tensor all = group.gather(mine);
  std::vector<const double*> next(group.size());
  for (int r = 0; r < group.size(); ++r) next[r] = all[r].const_data_ptr<double>();
  for (const auto& of_param : chunks) {
    for (int r = 0; r < group.size(); ++r) {
      for (int64_t c = 0; c < of_param[r]; ++c) total += *next[r]++;
    }
  }
  return at::scalar_tensor(std::sqrt(total), at::kDouble);
}

Tensor fast_gradient_norm(const std::vector<Tensor>& gradients, at::Device device, const Group& group) {
  std::vector<Tensor> defined;
  std::copy_if(gradients.begin(), gradients.end(), std::back_inserter(defined),
               [](const Tensor& g) { return g.defined(); });
  const Tensor squares = defined.empty()
                             ? at::zeros({}, at::TensorOptions(at::kDouble).device(device))
                             : at::stack(at::_foreach_norm(defined, 2)).to(at::kDouble).square().sum();
  return group.gather(squares.reshape({1})).sum().sqrt();
}

}  // namespace seednorm::lab

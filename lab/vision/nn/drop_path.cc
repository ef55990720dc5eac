#include "lab/vision/nn/drop_path.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include "lab/vision/data/draws.h"

namespace seednorm::lab {

std::vector<double> drop_path_rates(double rate, int64_t count) {
  std::vector<double> out(count);
  for (int64_t i = 1; i < count; ++i) out[i] = rate * static_cast<double>(i) / static_cast<double>(count - 1);
  return out;
}

DropPath::DropPath(const std::vector<double>& rates, int64_t rows, const Pass& pass, at::Device device)
    : factors_(rates.size()) {
  if (!pass.training) return;
  const auto branches = static_cast<int64_t>(rates.size());
  const at::Tensor all = at::empty({branches, rows}, at::kFloat);
  float* const numbers = all.data_ptr<float>();
  for (int64_t row = 0; row < rows; ++row) {
    Draws draws(pass.seed, DrawsFor::kDropPath, static_cast<uint64_t>(pass.step),
                static_cast<uint64_t>(pass.first_row + row));
    for (size_t b = 0; b < rates.size(); ++b) {
      const bool keep = draws.uniform() >= rates[b];
      numbers[static_cast<int64_t>(b) * rows + row] = keep ? static_cast<float>(1 / (1 - rates[b])) : 0.0f;
    }
  }
  // One copy for all branches, which does not wait for what the device does.
  const at::Tensor there = all.to(device, all.scalar_type(), /*non_blocking=*/true);
  for (size_t b = 0; b < rates.size(); ++b) {
    if (rates[b] > 0) factors_[b] = there[static_cast<int64_t>(b)];
  }
}

at::Tensor DropPath::apply(const at::Tensor& branch, int64_t index) const {
  const at::Tensor& factors = factors_[index];
  if (!factors.defined()) return branch;
  std::vector<int64_t> shape(branch.dim(), 1);
  shape[0] = branch.size(0);
  return branch * factors.to(branch.scalar_type()).view(shape);
}

}  // namespace seednorm::lab

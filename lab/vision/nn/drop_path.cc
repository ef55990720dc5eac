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

DropPath::DropPath(const std::vector<double>& rates, int64_t rows, const Pass& pass)
    : factors_(rates.size()) {
  if (!pass.training) return;
  std::vector<float*> numbers(rates.size(), nullptr);
  for (size_t b = 0; b < rates.size(); ++b) {
    if (rates[b] == 0) continue;
    factors_[b] = at::empty({rows}, at::kFloat);
    numbers[b] = factors_[b].data_ptr<float>();
  }
  for (int64_t row = 0; row < rows; ++row) {
    Draws draws(pass.seed, DrawsFor::kDropPath, static_cast<uint64_t>(pass.step),
                static_cast<uint64_t>(pass.first_row + row));
    for (size_t b = 0; b < rates.size(); ++b) {
      const bool keep = draws.uniform() >= rates[b];
      if (numbers[b] != nullptr) numbers[b][row] = keep ? static_cast<float>(1 / (1 - rates[b])) : 0.0f;
    }
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

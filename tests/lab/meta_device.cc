#include "tests/lab/meta_device.h"

#include <ATen/ExpandUtils.h>
#include <ATen/Functions.h>
#include <torch/library.h>

#include <optional>
#include <tuple>
#include <vector>

namespace {

using at::Tensor;

// Shapes of operators whose shapes PyTorch computes in Python, which libtorch alone does not have.

void check_meta(std::initializer_list<Tensor> tensors) {
  for (const Tensor& t : tensors) {
    TORCH_CHECK(!t.defined() || t.is_meta(), "expected a tensor on the meta device, got ", t.device());
  }
}

Tensor index_select(const Tensor& self, int64_t dim, const Tensor& index) {
  check_meta({self, index});
  std::vector<int64_t> shape = self.sizes().vec();
  shape[static_cast<size_t>(dim < 0 ? dim + self.dim() : dim)] = index.numel();
  return at::empty(shape, self.options());
}

Tensor embedding_dense_backward(const Tensor& grad, const Tensor& indices, int64_t num_weights, int64_t,
                                bool) {
  check_meta({grad, indices});
  return at::empty({num_weights, grad.size(-1)}, grad.options());
}

// Numbers may stand beside tensors, as on every device.
Tensor where_of(const Tensor& condition, const Tensor& self, const Tensor& other) {
  for (const Tensor& t : {condition, self, other}) {
    if (t.dim() > 0) check_meta({t});
  }
  const auto shape = at::infer_size(at::infer_size(condition.sizes(), self.sizes()), other.sizes());
  return at::empty(shape, condition.options().dtype(at::result_type(self, other)));
}
Tensor& where_out(const Tensor& condition, const Tensor& self, const Tensor& other, Tensor& out) {
  where_of(condition, self, other);
  return out;
}

Tensor& abs_out(const Tensor& self, Tensor& out) {
  check_meta({self, out});
  out.resize_(self.sizes());
  return out;
}

Tensor& logical_and_out(const Tensor& self, const Tensor& other, Tensor& out) {
  check_meta({self, other, out});
  out.resize_(at::infer_size(self.sizes(), other.sizes()));
  return out;
}

Tensor floor_divide(const Tensor& self, const Tensor& other) {
  check_meta({self});
  if (other.dim() > 0) check_meta({other});
  return at::empty(at::infer_size(self.sizes(), other.sizes()), self.options());
}

std::tuple<Tensor, Tensor> var_mean(const Tensor& self, at::OptionalIntArrayRef dim,
                                    const std::optional<at::Scalar>&, bool keepdim) {
  const Tensor out = at::empty_like(self.mean(dim, keepdim));
  return {out, at::empty_like(out)};
}

Tensor convolution(const Tensor& input, const Tensor& weight, const std::optional<Tensor>& bias,
                   at::IntArrayRef stride, at::IntArrayRef padding, at::IntArrayRef dilation, bool,
                   at::IntArrayRef, int64_t) {
  check_meta({input, weight, bias.value_or(Tensor())});
  std::vector<int64_t> shape = {input.size(0), weight.size(0)};
  for (int64_t i = 0; i + 2 < input.dim(); ++i) {
    const auto side = static_cast<size_t>(i);
    const int64_t window = dilation[side] * (weight.size(i + 2) - 1) + 1;
    shape.push_back((input.size(i + 2) + 2 * padding[side] - window) / stride[side] + 1);
  }
  return at::empty(shape, input.options());
}

std::tuple<Tensor, Tensor, Tensor> convolution_backward(const Tensor& grad, const Tensor& input,
                                                        const Tensor& weight, at::IntArrayRef,
                                                        at::IntArrayRef, at::IntArrayRef, bool,
                                                        at::IntArrayRef, int64_t, std::array<bool, 3>) {
  check_meta({grad, input, weight});
  return {at::empty_like(input), at::empty_like(weight), at::empty({weight.size(0)}, weight.options())};
}

// Rows in groups times matrices, rows times rows of the same groups.
Tensor grouped_mm(const Tensor& a, const Tensor& b, const std::optional<Tensor>& ends,
                  const std::optional<Tensor>&, std::optional<at::ScalarType>) {
  check_meta({a, b, ends.value_or(Tensor())});
  if (a.dim() == 2 && b.dim() == 3) return at::empty({a.size(0), b.size(2)}, a.options());
  TORCH_CHECK(a.dim() == 2 && b.dim() == 2, "grouped_mm: not needed yet");
  return at::empty({ends->size(0), a.size(0), b.size(1)}, a.options());
}

TORCH_LIBRARY_IMPL(aten, Meta, m) {
  m.impl("index_select", index_select);
  m.impl("embedding_dense_backward", embedding_dense_backward);
  m.impl("where.self", where_of);
  m.impl("where.self_out", where_out);
  m.impl("abs.out", abs_out);
  m.impl("logical_and.out", logical_and_out);
  m.impl("floor_divide", floor_divide);
  m.impl("var_mean.correction", var_mean);
  m.impl("convolution_overrideable", convolution);
  m.impl("convolution_backward_overrideable", convolution_backward);
  m.impl("_grouped_mm", grouped_mm);
}

void move(const Tensor& t) {
  // Tensor::set_data does the same between devices with numbers, and refuses this one.
  t.unsafeGetTensorImpl()->shallow_copy_from(at::empty_like(t.detach(), at::kMeta).getIntrusivePtr());
}

}  // namespace

namespace seednorm::lab {

void move_to_meta(torch::nn::Module& module) {
  const at::NoGradGuard no_grad;
  for (const Tensor& t : module.parameters()) move(t);
  for (const Tensor& t : module.buffers()) move(t);
}

}  // namespace seednorm::lab

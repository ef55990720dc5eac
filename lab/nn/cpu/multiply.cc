#include "lab/nn/cpu/multiply.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <optional>
#include <string_view>

#include "lab/base/parallel.h"

namespace seednorm::lab {
namespace {

using at::Tensor;

// Tiles of this size lose nothing beside a whole product: a panel of 512 rows of 512 numbers fits the
// second-level cache.
constexpr int64_t kTile = 512;
// A product is cut further, down to kMinTile, until it has kTiles tiles or they are down to kTileFlops, a
// millisecond of one core.
constexpr int64_t kMinTile = 64, kTiles = 8;
constexpr double kTileFlops = 6.4e7;
// Below, waking threads costs more than it saves.
constexpr double kFlopsForThreads = 2e6;

int64_t pieces(int64_t size, int64_t tile) { return (size + tile - 1) / tile; }

// Half of a tile, in whole vectors of any processor.
int64_t half(int64_t tile) { return std::max(kMinTile, (tile / 2 + kMinTile - 1) / kMinTile * kMinTile); }

struct Tiles {
  int64_t rows, cols;
};

Tiles tiles_of(int64_t rows, int64_t cols, int64_t depth) {
  Tiles t = {std::min(rows, kTile), std::min(cols, kTile)};
  const auto flops = [&] {
    return 2.0 * static_cast<double>(t.rows) * static_cast<double>(t.cols) * static_cast<double>(depth);
  };
  while (flops() > kTileFlops && pieces(rows, t.rows) * pieces(cols, t.cols) < kTiles) {
    int64_t& longer = t.rows >= t.cols ? t.rows : t.cols;
    if (half(longer) >= longer) break;
    longer = half(longer);
  }
  return t;
}

// Which of a layer's products this is shows in how its matrices lie.
ProductKind kind_of(const Tensor& a, const Tensor& b) {
  if (a.stride(0) == 1 && a.stride(1) != 1) return ProductKind::kWeightGradient;
  return b.stride(0) == 1 && b.stride(1) != 1 ? ProductKind::kForward : ProductKind::kInputGradient;
}

// a b by oneDNN, which libtorch reaches for float32 only through an operator of its compiler: x W^T.
Tensor onednn_product(const Tensor& a, const Tensor& b) {
  using Operator = Tensor(const Tensor& input, const Tensor& weight, const std::optional<Tensor>& bias,
                          std::string_view attribute, c10::List<std::optional<at::Scalar>> scalars,
                          std::optional<std::string_view> algorithm);
  static const auto handle =
      c10::Dispatcher::singleton().findSchemaOrThrow("mkldnn::_linear_pointwise", "").typed<Operator>();
  return handle.call(a.contiguous(), b.t().contiguous(), std::nullopt, "none",
                     c10::List<std::optional<at::Scalar>>(), "");
}

void multiply_tile(Library library, const Tensor& out, const Tensor& a, const Tensor& b, double scale,
                   double keep) {
  Tensor o = out;
  if (library == Library::kOneDnn && out.scalar_type() == at::kFloat) {
    const Tensor product = onednn_product(a, b);
    if (keep == 0) {
      o.copy_(scale == 1 ? product : product * scale);
    } else {
      (keep == 1 ? o : o.mul_(keep)).add_(product, scale);
    }
    return;
  }
  if (scale == 1 && keep == 0) {
    at::mm_out(o, a, b);
  } else {
    at::addmm_out(o, o, a, b, keep, scale);
  }
}

}  // namespace

void multiply_alone(const Tensor& out, const Tensor& a, const Tensor& b, double scale, double keep) {
  const at::AutoDispatchBelowADInplaceOrView no_graph;
  const OneThread alone;
  multiply_tile(product_choice().library(kind_of(a, b)), out, a, b, scale, keep);
}

void multiply_by(Library library, const Tensor& out, const Tensor& a, const Tensor& b, double scale,
                 double keep) {
  const at::AutoDispatchBelowADInplaceOrView no_graph;
  const OneThread alone;
  multiply_tile(library, out, a, b, scale, keep);
}

void multiply(const Tensor& out, const Tensor& a, const Tensor& b, double scale, double keep) {
  if (!uses_cpu_kernels(out)) {
    const at::AutoDispatchBelowADInplaceOrView no_graph;
    return multiply_tile(Library::kMkl, out, a, b, scale, keep);
  }
  const int64_t rows = out.size(0), cols = out.size(1), depth = a.size(1);
  const Library library = product_choice().library(kind_of(a, b));
  const Tiles t = tiles_of(rows, cols, depth);
  const int64_t columns = pieces(cols, t.cols), count = pieces(rows, t.rows) * columns;
  const double flops =
      2.0 * static_cast<double>(rows) * static_cast<double>(cols) * static_cast<double>(depth);
  const auto run = [&](int64_t begin, int64_t end) {
    const at::AutoDispatchBelowADInplaceOrView no_graph;
    const OneThread alone;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t row = i / columns * t.rows, col = i % columns * t.cols;
      const int64_t height = std::min(t.rows, rows - row), width = std::min(t.cols, cols - col);
      multiply_tile(library, out.narrow(0, row, height).narrow(1, col, width), a.narrow(0, row, height),
                    b.narrow(1, col, width), scale, keep);
    }
  };
  if (flops < kFlopsForThreads) return run(0, count);
  parallel_for(0, count, 1, run);
}

}  // namespace seednorm::lab

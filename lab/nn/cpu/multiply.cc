#include "lab/nn/cpu/multiply.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <optional>
#include <string_view>
#include <vector>

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
// Of sums that are taken in parts: the least number of terms in a part, and the most numbers of a result, of
// which each part has its own.
constexpr int64_t kMinPart = 256, kMaxPartNumbers = int64_t{1} << 19;
// Below, waking threads costs more than it saves.
constexpr double kFlopsForThreads = 2e6;

int64_t pieces(int64_t size, int64_t tile) { return (size + tile - 1) / tile; }

// Half of a tile, in whole vectors of any processor.
int64_t half(int64_t tile) { return std::max(kMinTile, (tile / 2 + kMinTile - 1) / kMinTile * kMinTile); }

struct Tiles {
  int64_t rows, cols;
};

// With whole columns, if there are rows enough for that.
Tiles tiles_of(int64_t rows, int64_t cols, int64_t depth, bool whole_columns) {
  if (whole_columns && rows >= kTiles * kMinTile) {
    return {std::min(kTile, pieces(rows, kTiles * kMinTile) * kMinTile), cols};
  }
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

bool is_turned(const Tensor& matrix) { return matrix.stride(0) == 1 && matrix.stride(1) != 1; }

// Which of a layer's products this is shows in how its matrices lie.
ProductKind kind_of(const Tensor& a, const Tensor& b) {
  if (is_turned(a)) return ProductKind::kWeightGradient;
  return is_turned(b) ? ProductKind::kForward : ProductKind::kInputGradient;
}

// What becomes of a product: out = scale a b + keep out. A bias [N] is added to rows, with scale = 1 and
// keep = 0.
struct Terms {
  double scale = 1, keep = 0;
  Tensor bias = {};
};

// x W^T + bias by oneDNN, which libtorch reaches for float32 only through an operator of its compiler. x is
// copied unless it is contiguous, and W unless W or W^T is: for others oneDNN has only its reference loops.
Tensor onednn_linear(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  using Operator = Tensor(const Tensor& input, const Tensor& weight, const std::optional<Tensor>& bias,
                          std::string_view attribute, c10::List<std::optional<at::Scalar>> scalars,
                          std::optional<std::string_view> algorithm);
  static const auto handle =
      c10::Dispatcher::singleton().findSchemaOrThrow("mkldnn::_linear_pointwise", "").typed<Operator>();
  const bool is_whole = weight.is_contiguous() || weight.t().is_contiguous();
  const auto whole = [&] { return is_turned(weight) ? weight.t().contiguous().t() : weight.contiguous(); };
  return handle.call(x.contiguous(), is_whole ? weight : whole(),
                     bias.defined() ? std::optional(bias) : std::nullopt, "none",
                     c10::List<std::optional<at::Scalar>>(), "");
}

// a b + bias. Of a product with a turned a, one of the two has to be copied: a, or b for (b^T a^T)^T. The
// smaller one is.
Tensor onednn_product(const Tensor& a, const Tensor& b, const Tensor& bias) {
  const bool copies_b = is_turned(a) && b.size(1) < a.size(0) && !bias.defined();
  return copies_b ? onednn_linear(b.t(), a, bias).t() : onednn_linear(a, b.t(), bias);
}

// A turned matrix [M, K] with contiguous rows, copied by all threads. libtorch is fast at turning a block as
// a whole, and at copying parts of rows.
Tensor with_contiguous_rows(const Tensor& turned) {
  constexpr int64_t kBlock = 256;
  const int64_t depth = turned.size(1);
  Tensor out = at::empty(turned.sizes(), turned.options());
  parallel_for(0, pieces(depth, kBlock), 1, [&](int64_t begin, int64_t end) {
    const at::AutoDispatchBelowADInplaceOrView no_graph;
    const OneThread alone;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t first = i * kBlock, count = std::min(kBlock, depth - first);
      out.narrow(1, first, count).copy_(turned.narrow(1, first, count).contiguous());
    }
  });
  return out;
}

// out = scale product + keep out.
void put(Tensor out, const Tensor& product, const Terms& terms) {
  if (terms.keep == 0) {
    out.copy_(terms.scale == 1 ? product : product * terms.scale);
  } else {
    (terms.keep == 1 ? out : out.mul_(terms.keep)).add_(product, terms.scale);
  }
}

void multiply_tile(Library library, const Tensor& out, const Tensor& a, const Tensor& b, const Terms& terms) {
  Tensor o = out;
  const bool is_large =
      2.0 * static_cast<double>(out.numel()) * static_cast<double>(a.size(1)) >= kOneDnnFlops;
  if (library == Library::kOneDnn && out.scalar_type() == at::kFloat && is_large) {
    return put(o, onednn_product(a, b, terms.bias), terms);
  }
  if (terms.bias.defined()) {
    at::addmm_out(o, terms.bias, a, b);
  } else if (terms.scale == 1 && terms.keep == 0) {
    at::mm_out(o, a, b);
  } else {
    at::addmm_out(o, o, a, b, terms.keep, terms.scale);
  }
}

void multiply_tiles(Library library, const Tensor& out, const Tensor& a, const Tensor& b,
                    const Terms& terms) {
  const int64_t rows = out.size(0), cols = out.size(1), depth = a.size(1);
  // oneDNN would copy b where columns are cut off.
  const Tiles t = tiles_of(rows, cols, depth, library == Library::kOneDnn && !is_turned(a));
  const int64_t columns = pieces(cols, t.cols), count = pieces(rows, t.rows) * columns;
  const double flops =
      2.0 * static_cast<double>(rows) * static_cast<double>(cols) * static_cast<double>(depth);
  const auto run = [&](int64_t begin, int64_t end) {
    const at::AutoDispatchBelowADInplaceOrView no_graph;
    const OneThread alone;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t row = i / columns * t.rows, col = i % columns * t.cols;
      const int64_t height = std::min(t.rows, rows - row), width = std::min(t.cols, cols - col);
      Terms of_tile = terms;
      if (terms.bias.defined()) of_tile.bias = terms.bias.narrow(0, col, width);
      multiply_tile(library, out.narrow(0, row, height).narrow(1, col, width), a.narrow(0, row, height),
                    b.narrow(1, col, width), of_tile);
    }
  };
  if (flops < kFlopsForThreads) return run(0, count);
  parallel_for(0, count, 1, run);
}

// A product of a turned a is a sum over all rows of a layer: sums of parts of the rows, which oneDNN takes as
// they lie, by all threads, and their sum in order.
void multiply_parts(const Tensor& out, const Tensor& a, const Tensor& b, const Terms& terms) {
  const int64_t depth = a.size(1);
  const int64_t part = std::max(pieces(depth, kTiles * kMinTile) * kMinTile, kMinPart),
                count = pieces(depth, part);
  std::vector<Tensor> sums(static_cast<size_t>(count));
  parallel_for(0, count, 1, [&](int64_t begin, int64_t end) {
    const at::AutoDispatchBelowADInplaceOrView no_graph;
    const OneThread alone;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t first = i * part, height = std::min(part, depth - first);
      sums[static_cast<size_t>(i)] =
          onednn_product(a.narrow(1, first, height), b.narrow(0, first, height), {});
    }
  });
  const at::AutoDispatchBelowADInplaceOrView no_graph;
  for (size_t i = 1; i < sums.size(); ++i) sums[0].add_(sums[i]);
  put(out, sums[0], terms);
}

// The same where the result is large: the smaller matrix is turned once, and all of it is multiplied with
// blocks of the other one.
void multiply_blocks(const Tensor& out, const Tensor& a, const Tensor& b, const Terms& terms) {
  if (b.size(1) > a.size(0)) return multiply_blocks(out.t(), b.t(), a.t(), terms);
  const Tensor smaller = with_contiguous_rows(b.t());
  const int64_t rows = out.size(0), block = std::min(kTile, pieces(rows, kTiles * kMinTile) * kMinTile);
  parallel_for(0, pieces(rows, block), 1, [&](int64_t begin, int64_t end) {
    const at::AutoDispatchBelowADInplaceOrView no_graph;
    const OneThread alone;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t first = i * block, height = std::min(block, rows - first);
      put(out.narrow(0, first, height), onednn_linear(smaller, a.narrow(0, first, height), {}).t(), terms);
    }
  });
}

void multiply_terms(const Tensor& out, const Tensor& a, const Tensor& b, const Terms& terms) {
  if (!uses_cpu_kernels(out)) {
    const at::AutoDispatchBelowADInplaceOrView no_graph;
    return multiply_tile(Library::kMkl, out, a, b, terms);
  }
  if (multiplies_by_onednn(out, a, b) && is_turned(a) && a.size(1) > kMinPart && !terms.bias.defined()) {
    return out.numel() <= kMaxPartNumbers ? multiply_parts(out, a, b, terms)
                                          : multiply_blocks(out, a, b, terms);
  }
  multiply_tiles(product_choice().library(kind_of(a, b)), out, a, b, terms);
}

}  // namespace

bool multiplies_by_onednn(const Tensor& out, const Tensor& a, const Tensor& b) {
  return uses_cpu_kernels(out) && out.scalar_type() == at::kFloat &&
         product_choice().library(kind_of(a, b)) == Library::kOneDnn;
}

void multiply_alone(const Tensor& out, const Tensor& a, const Tensor& b, double scale, double keep) {
  multiply_by(product_choice().library(kind_of(a, b)), out, a, b, scale, keep);
}

void multiply_by(Library library, const Tensor& out, const Tensor& a, const Tensor& b, double scale,
                 double keep) {
  const at::AutoDispatchBelowADInplaceOrView no_graph;
  const OneThread alone;
  multiply_tile(library, out, a, b, {.scale = scale, .keep = keep});
}

void multiply(const Tensor& out, const Tensor& a, const Tensor& b, double scale, double keep) {
  multiply_terms(out, a, b, {.scale = scale, .keep = keep});
}

void multiply_with_bias(const Tensor& out, const Tensor& a, const Tensor& b, const Tensor& bias) {
  multiply_terms(out, a, b, {.bias = bias});
}

}  // namespace seednorm::lab

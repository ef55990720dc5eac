// Attention whose products are of bfloat16 matrices with float32 sums, by oneDNN's kernels for small blocks,
// which libtorch offers for such loops. All blocks are padded to kAttentionRows, so that these few kernels,
// which are compiled when they are first called, serve every length.
//
// A product takes its right side [K, N] in pairs of rows: [K / 2, N, 2].
#include <ATen/Functions.h>
#include <ATen/native/CPUBlas.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "lab/nn/cpu/attention_head.h"
#include "lab/nn/cpu/attention_kernels.h"
#include "lab/nn/cpu/product_choice.h"

namespace seednorm::lab {
namespace {

using at::BFloat16;
using at::Tensor;

constexpr int64_t kRows = kAttentionRows;

// x [T, d] with rows of any distance, as 16-bit patterns. Rows from T on are zeros.
struct Source {
  Tensor matrix;
  const uint16_t* data;
  int64_t length, width, stride;
  explicit Source(const Tensor& x)
      : matrix(x.stride(1) == 1 ? x : x.contiguous()),
        data(reinterpret_cast<const uint16_t*>(matrix.const_data_ptr<BFloat16>())),
        length(x.size(0)),
        width(x.size(1)),
        stride(matrix.stride(0)) {}
  // Zeros beyond the end.
  uint16_t at(int64_t row, int64_t column) const { return row < length ? data[row * stride + column] : 0; }
};

// One of the layouts of a head that products take, a block of kRows rows after the other.
class Operand {
 public:
  Operand(int64_t blocks, int64_t width)
      : width_(width), data_(static_cast<size_t>(blocks * kRows * width)) {}

  // Of a left side: [block, kRows, d].
  void set_rows(const Source& x) {
    for (int64_t t = 0; t < num_rows(); ++t) {
      uint16_t* const to = data_.data() + t * width_;
      if (t < x.length) {
        std::memcpy(to, x.data + t * x.stride, static_cast<size_t>(width_) * sizeof *to);
      } else {
        std::fill_n(to, width_, 0);
      }
    }
  }
  // Of a left side, turned: [block, d, kRows].
  void set_columns(const Source& x) {
    for_blocks([&](int64_t first, uint16_t* to) {
      for (int64_t c = 0; c < width_; ++c) {
        for (int64_t t = 0; t < kRows; ++t) to[c * kRows + t] = x.at(first + t, c);
      }
    });
  }
  // Of a right side: [block, kRows / 2, d, 2].
  void set_pairs(const Source& x) {
    for_blocks([&](int64_t first, uint16_t* to) {
      for (int64_t t = 0; t < kRows; ++t) {
        uint16_t* const row = to + t / 2 * 2 * width_ + t % 2;
        for (int64_t c = 0; c < width_; ++c) row[2 * c] = x.at(first + t, c);
      }
    });
  }
  // Of a right side, turned: [block, d / 2, kRows, 2].
  void set_column_pairs(const Source& x) {
    for_blocks([&](int64_t first, uint16_t* to) {
      for (int64_t c = 0; c < width_; c += 2) {
        for (int64_t t = 0; t < kRows; ++t) {
          to[c * kRows + 2 * t] = x.at(first + t, c);
          to[c * kRows + 2 * t + 1] = x.at(first + t, c + 1);
        }
      }
    });
  }

  const BFloat16* block(int64_t i) const {
    return reinterpret_cast<const BFloat16*>(data_.data()) + i * kRows * width_;
  }

 private:
  int64_t num_rows() const { return static_cast<int64_t>(data_.size()) / width_; }
  template <class Work>
  void for_blocks(const Work& work) {
    for (int64_t first = 0; first < num_rows(); first += kRows) work(first, data_.data() + first * width_);
  }

  int64_t width_;
  std::vector<uint16_t> data_;
};

// out [m, n] (+)= left [m, k] right [k, n], where no row has a gap behind it.
void multiply_blocks(int64_t m, int64_t n, int64_t k, const BFloat16* left, const BFloat16* right, float* out,
                     bool add) {
  at::native::cpublas::brgemm(m, n, k, /*ld_a=*/k, /*ld_b=*/n, /*ld_c=*/n, add, left, right, out,
                              /*is_vnni=*/true);
}

class BFloat16Heads final : public AttentionHeads {
 public:
  explicit BFloat16Heads(const Tensor& q)
      : length_(q.size(1)),
        width_(q.size(3)),
        blocks_((length_ + kRows - 1) / kRows),
        scale_(1 / std::sqrt(static_cast<double>(width_))),
        first_(blocks_, width_),
        second_(blocks_, width_),
        third_(blocks_, width_),
        scores_(tiles()),
        weights_(tiles()) {}

  ~BFloat16Heads() override { at::native::cpublas::brgemm_release(/*is_vnni=*/true); }

  void forward(const HeadInputs& in, const Tensor& out, const Tensor& values) override {
    Operand &q = first_, &k = second_, &v = third_;
    q.set_rows(Source(in.q));
    k.set_column_pairs(Source(in.k));
    v.set_pairs(Source(in.v));
    const Tensor rows = at::empty({blocks_ * kRows, width_}, values.options());
    const Tensor padded = at::empty({2, blocks_ * kRows}, values.options());
    float *const largest = padded.data_ptr<float>(), *const inverse = largest + blocks_ * kRows;
    for (int64_t b = 0; b < blocks_; ++b) {
      for (int64_t t = 0; t <= b; ++t)
        multiply_blocks(kRows, kRows, width_, q.block(b), k.block(t), scores_.data() + t * kTile, false);
      attention_weights({.block = block(b),
                         .tile = kRows,
                         .scores = scores_.data(),
                         .weights = weights_.data(),
                         .largest = largest + b * kRows,
                         .inverse = inverse + b * kRows});
      float* const o = rows.data_ptr<float>() + b * kRows * width_;
      for (int64_t t = 0; t <= b; ++t)
        multiply_blocks(kRows, width_, kRows, weights_.data() + t * kTile, v.block(t), o, t > 0);
    }
    values.copy_(padded.slice(1, 0, length_));
    out.copy_(rows.slice(0, 0, length_).mul_(padded.select(0, 1).slice(0, 0, length_).unsqueeze(1)));
  }

  void begin_gradients(const Tensor& k, const Tensor& v) override {
    if (gradients_ == nullptr) gradients_ = std::make_unique<Gradients>(*this);
    Gradients& g = *gradients_;
    g.k.set_rows(Source(k));
    g.k_columns.set_columns(Source(k));
    g.v.set_rows(Source(v));
    g.dk = at::zeros({blocks_ * kRows, width_}, at::kFloat);
    g.dv = at::zeros_like(g.dk);
  }

  void backward(const Tensor& q, const Tensor& out, const Tensor& dout, const Tensor& values,
                const Tensor& dq) override {
    Gradients& g = *gradients_;
    set_queries(Source(q), Source(dout));
    // Of queries beyond the end, inverse = 0 makes the weights 0.
    const Tensor of_rows = at::zeros({3, blocks_ * kRows}, values.options());
    of_rows.narrow(0, 0, 2).slice(1, 0, length_).copy_(values);
    Tensor delta = of_rows.select(0, 2).slice(0, 0, length_);
    at::sum_out(delta, at::mul(dout.to(at::kFloat), out), -1);
    const Tensor dq_columns = at::empty({blocks_, width_, kRows}, values.options());
    for (int64_t b = 0; b < blocks_; ++b) {
      for (int64_t t = 0; t <= b; ++t) {
        multiply_blocks(kRows, kRows, width_, g.k.block(t), first_.block(b), scores_.data() + t * kTile,
                        false);
        multiply_blocks(kRows, kRows, width_, g.v.block(t), second_.block(b), g.dweights.data() + t * kTile,
                        false);
      }
      const float* const row = of_rows.const_data_ptr<float>() + b * kRows;
      const int64_t next = blocks_ * kRows;
      attention_gradients({.block = block(b),
                           .scores = scores_.data(),
                           .dweights = g.dweights.data(),
                           .largest = row,
                           .inverse = row + next,
                           .delta = row + 2 * next,
                           .weights = weights_.data(),
                           .dscores = g.dscores.data(),
                           .pairs = g.pairs.data()});
      for (int64_t t = 0; t <= b; ++t) {
        const int64_t at = t * kRows * width_;
        multiply_blocks(kRows, width_, kRows, weights_.data() + t * kTile, third_.block(b),
                        g.dv.data_ptr<float>() + at, true);
        multiply_blocks(kRows, width_, kRows, g.dscores.data() + t * kTile, g.q_pairs.block(b),
                        g.dk.data_ptr<float>() + at, true);
        multiply_blocks(width_, kRows, kRows, g.k_columns.block(t), g.pairs.data() + t * kTile,
                        dq_columns.data_ptr<float>() + b * kRows * width_, t > 0);
      }
    }
    dq.copy_(dq_columns.mul_(scale_).transpose(1, 2).reshape({-1, width_}).slice(0, 0, length_));
  }

  void end_gradients(const Tensor& dk, const Tensor& dv) override {
    dk.copy_(gradients_->dk.slice(0, 0, length_).mul_(scale_));
    dv.copy_(gradients_->dv.slice(0, 0, length_));
  }

 private:
  static constexpr int64_t kTile = kRows * kRows;

  // What the gradients need besides.
  struct Gradients {
    explicit Gradients(const BFloat16Heads& heads)
        : k(heads.blocks_, heads.width_),
          k_columns(heads.blocks_, heads.width_),
          v(heads.blocks_, heads.width_),
          q_pairs(heads.blocks_, heads.width_),
          dweights(heads.tiles()),
          dscores(heads.tiles()),
          pairs(heads.tiles()) {}
    Operand k, k_columns, v, q_pairs;
    std::vector<float> dweights;
    std::vector<BFloat16> dscores, pairs;
    Tensor dk, dv;
  };

  void set_queries(const Source& q, const Source& dout) {
    first_.set_column_pairs(q);
    second_.set_column_pairs(dout);
    third_.set_pairs(dout);
    gradients_->q_pairs.set_pairs(q);
  }
  size_t tiles() const { return static_cast<size_t>(blocks_ * kTile); }
  AttentionBlock block(int64_t b) const {
    return {.dtype = DType::kFloat32,
            .weight_dtype = DType::kBFloat16,
            .queries = kRows,
            .keys = (b + 1) * kRows,
            .first = b * kRows,
            .scale = scale_};
  }

  int64_t length_, width_, blocks_;
  double scale_;
  Operand first_, second_, third_;
  std::vector<float> scores_;
  std::vector<BFloat16> weights_;
  std::unique_ptr<Gradients> gradients_;
};

}  // namespace

std::unique_ptr<AttentionHeads> bfloat16_attention_heads(const Tensor& q) {
  if (q.scalar_type() != at::kBFloat16 || q.size(3) % 2 != 0) return nullptr;
  if (!at::native::cpublas::could_pack(at::kBFloat16)) return nullptr;
  return std::make_unique<BFloat16Heads>(q);
}

std::unique_ptr<AttentionHeads> attention_heads(const Tensor& q) {
  if (!product_choice().widen_bfloat16) {
    if (auto heads = bfloat16_attention_heads(q)) return heads;
  }
  return wide_attention_heads(q);
}

}  // namespace seednorm::lab

// The heads of a row: sums per head, and one value per head for its columns.
#if defined(SEEDNORM_CORE_CPU_HEADS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SEEDNORM_CORE_CPU_HEADS_INL_H_
#undef SEEDNORM_CORE_CPU_HEADS_INL_H_
#else
#define SEEDNORM_CORE_CPU_HEADS_INL_H_
#endif

#include <algorithm>
#include <memory>

#include "core/cpu/row_engine-inl.h"

HWY_BEFORE_NAMESPACE();
namespace seednorm {
namespace HWY_NAMESPACE {

// An array on the stack up to kStack elements, else on the heap.
template <class A, size_t kStack>
class Buffer {
 public:
  explicit Buffer(size_t n) : heap_(n > kStack ? new A[n] : nullptr), data_(heap_ ? heap_.get() : stack_) {}
  A* data() { return data_; }
  const A* data() const { return data_; }
  A& operator[](size_t i) { return data_[i]; }
  const A& operator[](size_t i) const { return data_[i]; }

 private:
  std::unique_ptr<A[]> heap_;
  alignas(64) A stack_[kStack];
  A* const data_;
};

// The positions of the heads in the units, and one value per head and row of a block. For heads of whole
// units the rows of a head are adjacent, so that one instruction stores a head's values (see load_by_blocks);
// for others the heads of a row are, so that one permutation gives each column its head's value.
template <class T>
class Heads {
 public:
  using A = Acc<T>;
  static constexpr int R = kBlockRows<T>;
  // Padded: sigma_array works on whole vectors, and SplitHeads loads kMaxUnit from any head on.
  using Values = Buffer<A, R * 64 + kMaxUnit>;

  explicit Heads(const KernelArgs& args)
      : count(args.options.num_heads),
        cols(args.dim / args.options.num_heads),
        dim(args.dim),
        whole(whole_units(args)),
        group(cols % (4 * kVecs<T>) == 0 ? 4 * kVecs<T> : 1),
        row_step(round_up(count, size_t{4})) {}

  static bool whole_units(const KernelArgs& args) {
    return args.options.num_heads == 1 || (args.dim / args.options.num_heads) % unit_cols<T>() == 0;
  }
  size_t values() const { return R * row_step + kMaxUnit; }
  // The memory that sigma_array reads beyond the values must not be random, since arithmetic on subnormals
  // takes microseconds.
  void clear(Values& values_of_sigma) const { std::fill_n(values_of_sigma.data(), values(), A{0}); }

  void begin_rows(int rows) { rows_ = static_cast<size_t>(rows); }
  size_t size() const { return (whole ? count : row_step) * rows_; }
  size_t at(size_t h, int i) const { return whole ? h * rows_ + i : i * row_step + h; }

  // Stores head h's values of rows first .. first + N - 1.
  template <int N>
  HWY_INLINE void keep(const A* of_rows, size_t h, int first, A* values) const {
    A* const out = values + at(h, first);
#if HWY_TARGET != HWY_SCALAR
    if constexpr (std::is_same_v<A, float>) {
      const Tag4 d;
      if constexpr (N == 4) {
        const auto even = hn::InterleaveLower(d, hn::Set(d, of_rows[0]), hn::Set(d, of_rows[2]));
        const auto odd = hn::InterleaveLower(d, hn::Set(d, of_rows[1]), hn::Set(d, of_rows[3]));
        return hn::StoreU(hn::InterleaveLower(d, even, odd), d, out);
      }
      if (rows_ == 1) return hn::StoreU(hn::Set(d, of_rows[0]), d, out);  // the others come later
    }
#endif
    for (int i = 0; i < N; ++i) out[i] = of_rows[i];
  }

  // Scaled sums of a row's products (unit order) by head: groups of columns as in sum_group, in the order of
  // the columns. Several heads at a time, since an addition waits for the one before it.
  HWY_NOINLINE void sum(const A* products, int i, A scale, A* values) const {
    constexpr size_t kTogether = 8;
    size_t h = 0;
    for (; h + kTogether <= count; h += kTogether) sum_heads<kTogether>(products, h, i, scale, values);
    for (; h < count; ++h) sum_heads<1>(products, h, i, scale, values);
  }
  // A row of one value per column (unit order) from one value per head.
  HWY_NOINLINE void spread(const A* values, int i, A* out) const {
    const Tag<T> d;
    const size_t lanes = hn::Lanes(d), padded = round_up(dim, unit_cols<T>());
    for (size_t h = 0; h < count; ++h) {
      const A value = values[at(h, i)];
      const size_t end = (h + 1) * cols;
      size_t col = h * cols;
      // The last vector overlaps the following heads, which are written later.
      if constexpr (kVecs<T> == 1) {
        for (; col < end && col + lanes <= padded; col += lanes) hn::StoreU(hn::Set(d, value), d, out + col);
      }
      for (; col < end; ++col) out[unit_position<T>(col)] = value;
    }
    for (size_t col = dim; col < padded; ++col) out[unit_position<T>(col)] = A{0};
  }

  const size_t count, cols, dim;
  const bool whole;       // units
  const size_t group;     // columns that are summed first: 4 of each vector of a unit, or 1
  const size_t row_step;  // between the rows' values, for heads of other than whole units

 private:
  // Of heads h .. h + N - 1.
  template <size_t N>
  HWY_INLINE void sum_heads(const A* products, size_t h, int i, A scale, A* values) const {
    A sums[N] = {};
    for (size_t c = 0; c < cols; c += group) {
      for (size_t n = 0; n < N; ++n) {
        const A* const at = products + unit_position<T>((h + n) * cols + c);
        sums[n] += group == 1 ? *at : sum_group(at);
      }
    }
    for (size_t n = 0; n < N; ++n) values[this->at(h + n, i)] = scale * sums[n];
  }
  // In the order in which SplitHeads::fold adds them.
  static HWY_INLINE A sum_group(const A* p) {
    A q[4];
    for (int j = 0; j < 4; ++j) q[j] = kVecs<T> == 1 ? p[j] : p[j] + p[j + hn::Lanes(Tag<T>())];
    return (q[0] + q[2]) + (q[1] + q[3]);
  }

  size_t rows_ = 1;
};

}  // namespace HWY_NAMESPACE
}  // namespace seednorm
HWY_AFTER_NAMESPACE();

#endif  // SEEDNORM_CORE_CPU_HEADS_INL_H_

// Heads that do not fill whole units: their sums, and one value per head for their columns.
#if defined(SEEDNORM_CORE_CPU_SPLIT_HEADS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SEEDNORM_CORE_CPU_SPLIT_HEADS_INL_H_
#undef SEEDNORM_CORE_CPU_SPLIT_HEADS_INL_H_
#else
#define SEEDNORM_CORE_CPU_SPLIT_HEADS_INL_H_
#endif

#include "core/cpu/heads-inl.h"

HWY_BEFORE_NAMESPACE();
namespace seednorm {
namespace HWY_NAMESPACE {

// What heads need that do not fill whole units: the products of a block of rows, which are summed by head
// after the sweep, and for each unit the lanes of its columns among the heads. Empty unless `used`.
template <class T>
class SplitHeads {
 public:
  using A = Acc<T>;
  using Index = hwy::MakeSigned<A>;
  using Lanes = decltype(hn::SetTableIndices(Tag<T>(), static_cast<const Index*>(nullptr)));

  // A unit of columns: where its products go, and which heads it belongs to.
  struct Columns {
    A* products;
    size_t products_step;  // between rows
    size_t first, values_step;
    Lanes lanes[kVecs<T>];  // among the values from head `first` on
    bool one_column;        // heads

    // Of row i of the block.
    HWY_INLINE void keep(const Unit<T>& product, int i) const {
      store_unit_order(product, products + i * products_step);
    }
    // For each column the value of its head.
    HWY_INLINE Unit<T> spread(const A* values, int i) const {
      const Tag<T> d;
      const A* const from = values + i * values_step + first;
      if (kVecs<T> == 2 && one_column) return load_natural<T>(from);  // more heads than a vector holds
      const auto of_heads = hn::LoadU(d, from);
      Unit<T> out;
      for_vecs<T>([&](auto k) SEEDNORM_LAMBDA { out.v[k] = hn::TableLookupLanes(of_heads, lanes[k]); });
      return out;
    }
  };

  // All Columns of a row, pointers only.
  struct Table {
    A* products;
    const uint32_t* first;
    const Index* lanes;
    size_t products_step, values_step;
    bool one_column;

    // Member by member: GCC copies the whole through memory.
    template <bool kMap>
    HWY_INLINE void get(size_t c, Columns& out) const {
      out.products = products + c;
      out.products_step = products_step;
      if constexpr (kMap) {
        const Tag<T> d;
        out.first = first[c / unit_cols<T>()];
        out.values_step = values_step;
        for_vecs<T>([&](auto k) SEEDNORM_LAMBDA {
          out.lanes[k] = hn::SetTableIndices(d, lanes + c + k * hn::Lanes(d));
        });
        out.one_column = one_column;
      }
    }
  };

  SplitHeads(const Heads<T>& heads, bool used)
      : heads_(heads),
        padded_(unit_padded(heads.dim)),
        products_(used ? kRows * padded_ : 0),
        first_(used ? padded_ / unit_cols<T>() : 0),
        lanes_(used ? padded_ : 0) {
    if (used) fill();
  }

  HWY_INLINE Table table() {
    return {products_.data(), first_.data(), lanes_.data(), padded_, heads_.row_step, heads_.cols == 1};
  }

  // The scaled sums of the products of R rows by head; the same for a row whatever R. Of values that were
  // cleared, those between the heads and row_step stay zero.
  template <int R>
  HWY_INLINE void sum(A scale, A* values) const {
#if HWY_TARGET != HWY_SCALAR
    if constexpr (R == 4) return sum_block(scale, values);
#endif
    for (int i = 0; i < R; ++i) heads_.sum(products_.data() + i * padded_, i, scale, values);
  }

 private:
  static constexpr int kRows = kBlockRows<T>;

  void fill() {
    const size_t unit = unit_cols<T>();
    size_t h = 0, end = heads_.cols;  // the head of the column, and its end
    const auto enter = [&](size_t col) {
      if (col == end && h + 1 < heads_.count) ++h, end += heads_.cols;
    };
    for (size_t c = 0; c < padded_; c += unit) {
      enter(c);
      const size_t first = h;
      first_[c / unit] = static_cast<uint32_t>(first);
      for (size_t col = c; col < c + unit; ++col) {
        enter(col);
        lanes_[unit_position<T>(col)] = static_cast<Index>((h - first) % hn::Lanes(Tag<T>()));
      }
    }
  }

#if HWY_TARGET != HWY_SCALAR
  // Four rows at once: vectors of a column, or of a group of columns, of the four rows are added. The sums of
  // four heads, transposed, are stored with each row's heads side by side.
  HWY_NOINLINE void sum_block(A scale, A* values) const {
    const Tag4 d4;
    const size_t unit = unit_cols<T>(), dim = heads_.dim, group = heads_.group;
    const size_t steps = heads_.cols / group;  // of a head
    size_t offsets[kMaxUnit];                  // of a unit's columns or groups in `columns`
    fill_offsets(offsets);
    HWY_ALIGN A columns[4 * kMaxUnit];
    HWY_ALIGN A of_heads[16] = {};
    size_t h = 0, left = steps;
    V4 sum = hn::Zero(d4);
    for (size_t c = 0; c < dim; c += unit) {
      if (group == 1) {
        transpose(c, columns);
      } else {
        fold(c, columns);
      }
      const size_t n = HWY_MIN(unit, dim - c) / group;
      for (size_t step = 0; step < n;) {
        const size_t stop = HWY_MIN(n, step + left);
        left -= stop - step;
        for (; step < stop; ++step) sum = hn::Add(sum, hn::Load(d4, columns + offsets[step]));
        if (left != 0) continue;
        hn::Store(sum, d4, of_heads + h % 4 * 4);
        if (++h % 4 == 0 || h == heads_.count) store_heads((h - 1) / 4 * 4, scale, of_heads, values);
        sum = hn::Zero(d4);
        left = steps;
      }
    }
  }
  void fill_offsets(size_t* offsets) const {
    const size_t lanes = hn::Lanes(Tag<T>());
    for (size_t col = 0; col < unit_cols<T>(); ++col) {
      const size_t pos = unit_position<T>(col), lane = pos % lanes;
      offsets[col] = heads_.group > 1 ? 4 * col : (pos / lanes * 4 + lane % 4) * lanes + lane / 4 * 4;
    }
  }
  // The four rows of vector k of the unit at column c.
  HWY_INLINE void load_rows(size_t c, int k, V<T>* rows) const {
    const Tag<T> d;
    const A* const from = products_.data() + c + k * hn::Lanes(d);
    unroll<4>([&](auto i) SEEDNORM_LAMBDA { rows[i] = hn::LoadU(d, from + i * padded_); });
  }
  // Block b of vector 4 k + j of `columns` is lane 4 b + j of vector k of the four rows.
  HWY_INLINE void transpose(size_t c, A* columns) const {
    const Tag<T> d;
    for_vecs<T>([&](auto k) SEEDNORM_LAMBDA {
      V<T> rows[4];
      load_rows(c, k, rows);
      transpose_blocks(d, rows);
      unroll<4>([&](auto j) SEEDNORM_LAMBDA { hn::Store(rows[j], d, columns + (4 * k + j) * hn::Lanes(d)); });
    });
  }
  // Block b of the one vector is the sum of lanes 4 b .. 4 b + 3 of the unit's vectors, of the four rows.
  HWY_INLINE void fold(size_t c, A* columns) const {
    const Tag<T> d;
    const hn::RepartitionToWide<Tag<T>> dw;
    V<T> rows[4], more[4];
    load_rows(c, 0, rows);
    if constexpr (kVecs<T> == 2) {
      load_rows(c, 1, more);
      unroll<4>([&](auto i) SEEDNORM_LAMBDA { rows[i] = hn::Add(rows[i], more[i]); });
    }
    const auto pairs = [&](V<T> a, V<T> b) SEEDNORM_LAMBDA {  // a0 + a2, b0 + b2, a1 + a3, b1 + b3
      return hn::BitCast(dw, hn::Add(hn::InterleaveLower(d, a, b), hn::InterleaveUpper(d, a, b)));
    };
    const auto low = pairs(rows[0], rows[1]), high = pairs(rows[2], rows[3]);
    hn::Store(hn::Add(hn::BitCast(d, hn::InterleaveLower(dw, low, high)),
                      hn::BitCast(d, hn::InterleaveUpper(dw, low, high))),
              d, columns);
  }
  template <class D>
  static HWY_INLINE void transpose_blocks(D d, hn::Vec<D>* v) {
    const hn::RepartitionToWide<D> dw;
    const auto low01 = hn::BitCast(dw, hn::InterleaveLower(d, v[0], v[1]));
    const auto low23 = hn::BitCast(dw, hn::InterleaveLower(d, v[2], v[3]));
    const auto high01 = hn::BitCast(dw, hn::InterleaveUpper(d, v[0], v[1]));
    const auto high23 = hn::BitCast(dw, hn::InterleaveUpper(d, v[2], v[3]));
    v[0] = hn::BitCast(d, hn::InterleaveLower(dw, low01, low23));
    v[1] = hn::BitCast(d, hn::InterleaveUpper(dw, low01, low23));
    v[2] = hn::BitCast(d, hn::InterleaveLower(dw, high01, high23));
    v[3] = hn::BitCast(d, hn::InterleaveUpper(dw, high01, high23));
  }
  HWY_INLINE void store_heads(size_t h, A scale, A* of_heads, A* values) const {
    const Tag4 d4;
    V4 v[4];
    unroll<4>([&](auto k) SEEDNORM_LAMBDA {
      v[k] = hn::Mul(hn::Set(d4, scale), hn::Load(d4, of_heads + 4 * k));
      hn::Store(hn::Zero(d4), d4, of_heads + 4 * k);
    });
    transpose_blocks(d4, v);
    unroll<4>([&](auto i) SEEDNORM_LAMBDA { hn::StoreU(v[i], d4, values + i * heads_.row_step + h); });
  }
#endif

  const Heads<T>& heads_;
  const size_t padded_;
  Buffer<A, 1> products_;
  Buffer<uint32_t, 1> first_;
  Buffer<Index, 1> lanes_;
};

}  // namespace HWY_NAMESPACE
}  // namespace seednorm
HWY_AFTER_NAMESPACE();

#endif  // SEEDNORM_CORE_CPU_SPLIT_HEADS_INL_H_

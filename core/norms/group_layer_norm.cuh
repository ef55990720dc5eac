// Group LayerNorm for GPUs; see group_layer_norm-inl.h. Sums of groups read the row's elements again, from
// the cache: simple rather than fast.
#include "core/cuda/heads.cuh"
#include "core/cuda/policy_kernels.cuh"

namespace seednorm::group_layer_norm {

using cuda::Acc;
using cuda::Columns;
using cuda::kCols;
using cuda::RowGroup;
using cuda::Vec;

// Two numbers of each group of the rows that are under way, in shared memory.
template <class T>
class DeviceBase {
 public:
  using A = Acc<T>;
  static constexpr bool kFewKernels = true;
  static constexpr int kSums = 1;  // none by column
  struct State {};

  static int shared_bytes(const KernelArgs& args, const cuda::Geometry& g, int rows) {
    const int64_t values = int64_t{2} * g.groups * rows * args.options.num_heads;
    return static_cast<int>((values * static_cast<int64_t>(sizeof(A)) + 15) / 16 * 16);
  }

  SEEDNORM_DEVICE DeviceBase(const KernelArgs& args, const RowGroup<A>& group, void* shared, int rows)
      : args_(args),
        gamma_(args.param(Param::kGamma)),
        beta_(args.param(Param::kBeta)),
        groups_(static_cast<int>(args.options.num_heads)),
        columns_(static_cast<int>(args.dim) / groups_),
        values_(static_cast<A*>(shared) + group.index * rows * groups_ * 2) {}

 protected:
  SEEDNORM_DEVICE A& value(int which, int r, int g) const { return values_[(r * groups_ + g) * 2 + which]; }

  const KernelArgs& args_;
  const Columns<T> gamma_, beta_;
  const int groups_, columns_;  // groups, and columns of one

 private:
  A* const values_;
};

template <class T>
class DeviceForward : public DeviceBase<T> {
 public:
  using DeviceBase<T>::DeviceBase;
  using typename DeviceBase<T>::A;
  using typename DeviceBase<T>::State;
  static constexpr bool kCentred = false;
  struct Cols {
    Vec<T> gamma, beta;
  };

  SEEDNORM_DEVICE int sum_cols(int, int) const { return 0; }
  SEEDNORM_DEVICE Cols cols(int c, int n) const { return {this->gamma_.load(c, n), this->beta_.load(c, n)}; }
  SEEDNORM_DEVICE void accumulate(int, const Vec<T>&, const cuda::At&, A*) const {}
  template <int kRows>
  SEEDNORM_DEVICE void finish(const cuda::Input<T>& input, RowGroup<A>& group, const cuda::RowsAtOnce& rows,
                              A (&)[kRows], State (&)[kRows]) const {
    const auto columns = static_cast<A>(this->columns_);
    const auto element = [&](int r, int g, int j) {
      return rows.has(r) ? input.element(rows.row(r), g * this->columns_ + j) : A{0};
    };
    cuda::sum_by_head<kRows, A>(group, this->groups_, this->columns_, element,
                                [&](int r, int g, A sum) { this->value(0, r, g) = sum / columns; });
    group.sync();
    const auto square = [&](int r, int g, int j) {
      const A centred = element(r, g, j) - this->value(0, r, g);
      return centred * centred;
    };
    cuda::sum_by_head<kRows, A>(group, this->groups_, this->columns_, square, [&](int r, int g, A sum) {
      const A rstd = 1 / std::sqrt(sum / columns + static_cast<A>(this->args_.options.eps));
      this->value(1, r, g) = rstd;
      if (this->args_.stats_out == nullptr || !rows.has(r)) return;
      cuda::set_stat(this->args_, rows.row(r), 2 * g, this->value(0, r, g));
      cuda::set_stat(this->args_, rows.row(r), 2 * g + 1, rstd);
    });
    group.sync();
  }
  SEEDNORM_DEVICE Vec<T> map(const Cols& cols, const State&, const Vec<T>& x, const cuda::At& at) const {
    Vec<T> y = {};
#pragma unroll
    for (int e = 0; e < kCols<T>; ++e) {
      if (e >= at.n) continue;
      const int g = (at.c + e) / this->columns_;
      const A normalized = (x.at[e] - this->value(0, at.r, g)) * this->value(1, at.r, g);
      y.at[e] = std::fma(cols.gamma.at[e], normalized, cols.beta.at[e]);
    }
    return y;
  }
};

template <class T>
class DeviceBackward : public DeviceBase<T> {
 public:
  using DeviceBase<T>::DeviceBase;
  using typename DeviceBase<T>::A;
  using typename DeviceBase<T>::State;
  static constexpr int kSlots = 2, kSampleSlots = 0;

  SEEDNORM_DEVICE Vec<T> cols(int c, int n) const { return this->gamma_.load(c, n); }
  SEEDNORM_DEVICE void begin(int64_t, State&) const {}
  SEEDNORM_DEVICE void accumulate(const Vec<T>&, const State&, const Vec<T>&, const Vec<T>&, const cuda::At&,
                                  A*) const {}
  // The values are mean(h), and rstd^2 mean(h (x - mean)).
  template <int kRows>
  SEEDNORM_DEVICE void finish(RowGroup<A>& group, const cuda::RowsAtOnce& rows, A (&)[kRows],
                              State (&)[kRows]) const {
    const cuda::RowsOf<T> x(this->args_.x), dy(this->args_.dy);
    const auto columns = static_cast<A>(this->columns_);
    const auto number = [](const cuda::RowsOf<T>& of, int64_t row, int c) {
      return cuda::unpack<T>(cuda::load_elements(of.at(row, c), 1)).at[0];
    };
    const auto h = [&](int r, int g, int j) {
      const int c = g * this->columns_ + j;
      return rows.has(r) ? number(dy, rows.row(r), c) * this->gamma_.load(c, 1).at[0] : A{0};
    };
    const auto h_centred = [&](int r, int g, int j) {
      if (!rows.has(r)) return A{0};
      const int64_t row = rows.row(r);
      return h(r, g, j) * (number(x, row, g * this->columns_ + j) - mean(row, g));
    };
    group.sync();  // all threads have used the values of the rows before
    cuda::sum_by_head<kRows, A>(group, this->groups_, this->columns_, h,
                                [&](int r, int g, A sum) { this->value(0, r, g) = sum / columns; });
    cuda::sum_by_head<kRows, A>(group, this->groups_, this->columns_, h_centred, [&](int r, int g, A sum) {
      const A scale = rows.has(r) ? rstd(rows.row(r), g) : 0;
      this->value(1, r, g) = sum / columns * scale * scale;
    });
    group.sync();
  }
  SEEDNORM_DEVICE Vec<T> map(const Vec<T>& gamma, const State&, const Vec<T>& x, const Vec<T>& dy,
                             const cuda::At& at, Vec<T>* total) const {
    Vec<T> dx = {};
#pragma unroll
    for (int e = 0; e < kCols<T>; ++e) {
      if (e >= at.n) continue;
      const int g = (at.c + e) / this->columns_;
      const A centred = x.at[e] - mean(at.row, g), scale = rstd(at.row, g);
      const A inner = dy.at[e] * gamma.at[e] - this->value(0, at.r, g);
      dx.at[e] = scale * std::fma(-centred, this->value(1, at.r, g), inner);
      total[0].at[e] = std::fma(dy.at[e], centred * scale, total[0].at[e]);
      total[1].at[e] += dy.at[e];
    }
    return dx;
  }

 private:
  SEEDNORM_DEVICE A mean(int64_t row, int g) const { return cuda::stat<A>(this->args_, row, 2 * g); }
  SEEDNORM_DEVICE A rstd(int64_t row, int g) const { return cuda::stat<A>(this->args_, row, 2 * g + 1); }
};

template <class T>
using GpuKernels = cuda::PolicyKernels<T, DeviceForward<T>, DeviceBackward<T>>;

}  // namespace seednorm::group_layer_norm

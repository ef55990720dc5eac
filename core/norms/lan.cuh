// Learnable adaptive normalization for GPUs; see lan-inl.h.
#include "core/cuda/policy_kernels.cuh"

namespace seednorm::lan {

using cuda::Acc;
using cuda::Columns;
using cuda::kCols;
using cuda::RowGroup;
using cuda::Vec;

template <class T>
class DeviceBase : public cuda::NoSharedMemory {
 public:
  using A = Acc<T>;
  static constexpr int kSums = 0;
  struct State {};

 protected:
  SEEDNORM_DEVICE explicit DeviceBase(const KernelArgs& args)
      : gamma_(args.param(Param::kGamma)),
        beta_(args.param(Param::kBeta)),
        variance_(args.param(Param::kAlpha)),
        mean_(args.param(Param::kShift)),
        eps_(static_cast<A>(args.options.eps)) {}

  SEEDNORM_DEVICE A rstd(A v) const { return 1 / std::sqrt((v < 0 ? 0 : v) + eps_); }  // keeps NaN

  const Columns<T> gamma_, beta_, variance_, mean_;
  const A eps_;
};

template <class T>
class DeviceForward : public DeviceBase<T> {
 public:
  using typename DeviceBase<T>::A;
  using typename DeviceBase<T>::State;
  static constexpr bool kCentred = false;
  struct Cols {
    Vec<T> gamma, beta, mean, rstd;
  };

  SEEDNORM_DEVICE DeviceForward(const KernelArgs& args, const RowGroup<A>&, void*, int)
      : DeviceBase<T>(args) {}

  SEEDNORM_DEVICE Cols cols(int c, int n) const {
    Cols out = {this->gamma_.load(c, n), this->beta_.load(c, n), this->mean_.load(c, n),
                this->variance_.load(c, n)};
#pragma unroll
    for (int e = 0; e < kCols<T>; ++e) out.rstd.at[e] = this->rstd(out.rstd.at[e]);
    return out;
  }
  SEEDNORM_DEVICE Vec<T> map(const Cols& cols, const State&, const Vec<T>& x, const cuda::At&) const {
    Vec<T> y;
#pragma unroll
    for (int e = 0; e < kCols<T>; ++e) {
      y.at[e] = std::fma(cols.gamma.at[e], (x.at[e] - cols.mean.at[e]) * cols.rstd.at[e], cols.beta.at[e]);
    }
    return y;
  }
};

template <class T>
class DeviceBackward : public DeviceBase<T> {
 public:
  using typename DeviceBase<T>::A;
  using typename DeviceBase<T>::State;
  static constexpr int kSlots = 4, kSampleSlots = 0;  // gamma, beta, v, m
  // With four sums in registers there is room for three numbers of a column.
  struct Cols {
    Vec<T> gain;         // gamma r
    Vec<T> mean;         // m
    Vec<T> signed_rstd;  // r where v > 0, otherwise -r
  };

  SEEDNORM_DEVICE DeviceBackward(const KernelArgs& args, const RowGroup<A>&, void*, int)
      : DeviceBase<T>(args) {}

  SEEDNORM_DEVICE Cols cols(int c, int n) const {
    Cols out = {this->gamma_.load(c, n), this->mean_.load(c, n), this->variance_.load(c, n)};
#pragma unroll
    for (int e = 0; e < kCols<T>; ++e) {
      const A v = out.signed_rstd.at[e], r = this->rstd(v);
      out.gain.at[e] *= r;
      out.signed_rstd.at[e] = v > 0 ? r : -r;
    }
    return out;
  }
  SEEDNORM_DEVICE void begin(int64_t, State&) const {}
  SEEDNORM_DEVICE Vec<T> map(const Cols& cols, const State&, const Vec<T>& x, const Vec<T>& g,
                             const cuda::At&, Vec<T>* total) const {
    Vec<T> dx;
#pragma unroll
    for (int e = 0; e < kCols<T>; ++e) {
      const A r = cols.signed_rstd.at[e], n = (x.at[e] - cols.mean.at[e]) * std::fabs(r);
      dx.at[e] = g.at[e] * cols.gain.at[e];
      total[0].at[e] = std::fma(g.at[e], n, total[0].at[e]);
      total[1].at[e] += g.at[e];
      total[2].at[e] = std::fma(static_cast<A>(-0.5) * dx.at[e] * n, std::fmax(r, A{0}), total[2].at[e]);
      total[3].at[e] -= dx.at[e];
    }
    return dx;
  }
};

template <class T>
using GpuKernels = cuda::PolicyKernels<T, DeviceForward<T>, DeviceBackward<T>>;

}  // namespace seednorm::lan

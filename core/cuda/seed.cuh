// Policies of SeeDNorm (Eq. 4, Eq. 7) and AdaSeeDNorm (Eq. 8); mathematics as in core/cpu/seed-inl.h and
// core/cpu/seed_forms-inl.h.
//
// The order of the sum of squares and of the products is RMSNorm's, so that with beta = 0 all results are
// RMSNorm's bit for bit. kGeneral: dropout, heads that vectors straddle, and the forms of beta without a dot
// product, all selected at run time; simple rather than fast.
#ifndef SEEDNORM_CORE_CUDA_SEED_CUH_
#define SEEDNORM_CORE_CUDA_SEED_CUH_

#include "core/cuda/backward.cuh"
#include "core/cuda/forward.cuh"
#include "core/cuda/heads.cuh"
#include "core/cuda/math.cuh"
#include "core/kernel/row_scale.h"
#include "seednorm/philox.h"

namespace seednorm::cuda {

// Dropout's multiplier of an element: 0 or 1 / (1 - p).
template <class A>
class Dropout {
 public:
  SEEDNORM_DEVICE explicit Dropout(const KernelArgs& args)
      : active_(args.dropout),
        seed_(args.device_seed == nullptr || !active_ ? args.seed : args.device_seed[0]),
        offset_(args.device_seed == nullptr || !active_ ? args.offset : args.device_seed[1]),
        threshold_(dropout_threshold(args.options.dropout)),
        kept_(static_cast<A>(1 / (1 - args.options.dropout))) {}

  SEEDNORM_DEVICE A at(int64_t row, int c) const {
    if (!active_) return 1;
    return dropout_bits(seed_, offset_, static_cast<uint64_t>(row), static_cast<uint64_t>(c)) < threshold_
               ? 0
               : kept_;
  }

 private:
  const bool active_;
  const uint64_t seed_, offset_;
  const uint32_t threshold_;
  const A kept_;
};

// Calls body(e, element of each vector...) for every element. The loop is not unrolled, for long bodies that
// call functions. The vectors are then in the thread's local memory, since registers cannot be indexed at run
// time.
template <bool kRolled, class T, class Body, class... Vectors>
SEEDNORM_DEVICE void for_elements(const Body& body, Vectors&... v) {
  if constexpr (kRolled) {
#pragma unroll 1
    for (int e = 0; e < kCols<T>; ++e) body(e, v.at[e]...);
  } else {
#pragma unroll
    for (int e = 0; e < kCols<T>; ++e) body(e, v.at[e]...);
  }
}

// The common part of forward and backward.
template <class T, bool kGeneral, bool kConditional, int kHeadValues>
class SeedBase {
 public:
  using A = Acc<T>;

  static int shared_bytes(const KernelArgs& args, const Geometry& g, int rows) {
    return Heads<T, kHeadValues>::shared_bytes(args, g, rows);
  }

  SEEDNORM_DEVICE SeedBase(const KernelArgs& args, const RowGroup<A>& group, void* shared, int rows)
      : args_(args),
        gamma_(args.param(Param::kGamma)),
        alpha_(args.param(Param::kAlpha)),
        beta_(args.param(Param::kBeta)),
        heads_(args, group, shared, rows),
        dropout_(args),
        sigma_(args.options.sigma),
        dot_scale_(static_cast<A>(args.options.dot_scale)) {}

 protected:
  SEEDNORM_DEVICE bool elementwise() const { return kGeneral && args_.options.beta == Form::kElementwise; }
  SEEDNORM_DEVICE bool without_beta() const { return kGeneral && args_.options.beta == Form::kNone; }
  SEEDNORM_DEVICE bool single() const { return heads_.count == 1; }
  // The argument of sigma at a column, without a dot product.
  SEEDNORM_DEVICE A inner(A x, A beta) const {
    return elementwise() ? x * dot_scale_ * beta : x * dot_scale_;
  }
  SEEDNORM_DEVICE A keep(int64_t row, int c) const { return kGeneral ? dropout_.at(row, c) : 1; }
  // AdaSeeDNorm's parameters of the row's sample.
  SEEDNORM_DEVICE Vec<T> condition(Param param, int64_t row, int c, int n) const {
    return Columns<T>(args_.param(param), row / args_.rows_per_sample).load(c, n);
  }

  const KernelArgs& args_;
  const Columns<T> gamma_, alpha_, beta_;
  Heads<T, kHeadValues> heads_;
  const Dropout<A> dropout_;
  const Sigma sigma_;
  const A dot_scale_;
};

template <class T, bool kGeneral, bool kConditional>
class SeedForward : public SeedBase<T, kGeneral, kConditional, 1> {
 public:
  static constexpr bool kFewKernels = kGeneral;
  using Base = SeedBase<T, kGeneral, kConditional, 1>;
  using Base::Base;
  using A = Acc<T>;
  static constexpr int kSums = 2;  // squares, and the dot product of a single head
  static constexpr bool kCentred = false;
  struct State {
    A scale, u;
  };
  struct SumCols {
    Vec<T> alpha, beta;
  };
  struct Cols {
    Vec<T> gamma, alpha, beta;
  };

  SEEDNORM_DEVICE SumCols sum_cols(int c, int n) const {
    SumCols cols = {};
    if (this->without_beta()) cols.alpha = this->alpha_.load(c, n);
    cols.beta = this->beta_.load(c, n);
    return cols;
  }
  SEEDNORM_DEVICE Cols cols(int c, int n) const {
    Cols cols = {};
    cols.gamma = this->gamma_.load(c, n);
    cols.alpha = this->alpha_.load(c, n);
    if (this->elementwise()) cols.beta = this->beta_.load(c, n);
    return cols;
  }
  SEEDNORM_DEVICE void accumulate(SumCols cols, Vec<T> x, const At& at, A* sums) {
#pragma unroll
    for (int e = 0; e < kCols<T>; ++e) sums[0] = std::fma(x.at[e], x.at[e], sums[0]);
    if (this->elementwise()) return;
    if (this->without_beta()) {
      for_elements<kGeneral, T>(
          [&](int e, A x, A alpha) {
            if (e < at.n) sums[1] += sigma_value(this->sigma_, this->inner(x, A{1})) * alpha;
          },
          x, cols.alpha);
      return;
    }
    A dot = this->single() ? sums[1] : 0;
#pragma unroll
    for (int e = 0; e < kCols<T>; ++e) dot = std::fma(x.at[e], cols.beta.at[e], dot);
    if (this->single()) {
      sums[1] = dot;
    } else if (this->heads_.whole) {
      this->heads_.set_dot(at.r, at.c, dot);
    }
  }

  template <int kRows>
  SEEDNORM_DEVICE void finish(const Input<T>& input, RowGroup<A>& group, const RowsAtOnce& rows,
                              A (&sums)[2 * kRows], State (&state)[kRows]) {
    const KernelArgs& args = this->args_;
    group.sum(sums);
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      state[r].scale =
          RmsScale::scale(sums[2 * r], static_cast<A>(args.dim), static_cast<A>(args.options.eps));
      const bool writes = args.stats_out != nullptr && group.lane == 0 && rows.has(r);
      if (writes) set_stat(args, rows.row(r), 0, state[r].scale);
      if (!this->single() || this->elementwise()) continue;
      const A z = this->without_beta() ? sums[2 * r + 1] : sums[2 * r + 1] * this->dot_scale_;
      if (writes) set_stat(args, rows.row(r), 1, z);
      state[r].u = this->without_beta() ? z : sigma_value(this->sigma_, z);
    }
    if (this->single()) return;
    this->heads_.template sum<kRows>(
        group,
        [&](int r, int c) {
          if (!rows.has(r)) return A{0};
          return input.element(rows.row(r), c) * this->beta_.load(c, 1).at[0];
        },
        [&](int r, int head, A sum) {
          const A z = sum * this->dot_scale_;
          this->heads_.value(0, r, head) = sigma_value(this->sigma_, z);
          if (args.stats_out != nullptr && rows.has(r)) set_stat(args, rows.row(r), 1 + head, z);
        });
    group.sync();
  }

  SEEDNORM_DEVICE Vec<T> map(Cols cols, const State& state, Vec<T> x, const At& at) const {
    A u = state.u;
    if (!this->single() && this->heads_.whole) u = this->heads_.at(0, at.r, at.c);
    Vec<T> y = {};
    for_elements<kGeneral, T>(
        [&](int e, A& y, A x, A gamma, A alpha, A beta) {
          if constexpr (kGeneral) {
            if (e >= at.n) return;
            if (!this->single() && !this->heads_.whole) u = this->heads_.at(0, at.r, at.c + e);
            if (this->elementwise()) u = sigma_value(this->sigma_, this->inner(x, beta));
            alpha = (this->without_beta() ? 1 : alpha) * this->keep(at.row, at.c + e);
          }
          y = std::fma(u, alpha, gamma) * (x * state.scale);
        },
        y, x, cols.gamma, cols.alpha, cols.beta);
    if constexpr (kConditional) {
      const Vec<T> gamma_c = this->condition(Param::kGammaC, at.row, at.c, at.n);
      const Vec<T> eta_c = this->condition(Param::kEtaC, at.row, at.c, at.n);
#pragma unroll
      for (int e = 0; e < kCols<T>; ++e) y.at[e] = std::fma(y.at[e], 1 + gamma_c.at[e], eta_c.at[e]);
    }
    return y;
  }
};

// With w = m u alpha + gamma, s = rstd, g = dy (times 1 + gamma(c)):
//   A_h = sum_{i in h} g_i m_i alpha_i x_i,   B = sum_i g_i gamma_i x_i + sum_h u_h A_h
//   dx_i = w_i (g_i s) - x_i s^3 B / D + c_h beta_i,   c_h = dot_scale sigma'(z_h) s A_h
// and for the other forms of beta what core/cpu/seed_forms-inl.h derives.
template <class T, bool kGeneral, bool kConditional>
class SeedBackward : public SeedBase<T, kGeneral, kConditional, 2> {
 public:
  static constexpr bool kFewKernels = kGeneral;
  using Base = SeedBase<T, kGeneral, kConditional, 2>;
  using Base::Base;
  using A = Acc<T>;
  static constexpr int kSums = 2;  // g gamma x; g m alpha x of a single head
  // gamma, alpha, beta; or alpha, beta, and of the sample gamma(c), eta(c).
  static constexpr int kSlots = kConditional ? 4 : 3, kSampleSlots = kConditional ? 2 : 0;
  static constexpr int kAlphaSlot = kConditional ? 0 : 1;
  struct State {
    A scale, pull, u, c;  // u and c: of a single head
  };
  struct Cols {
    Vec<T> gamma, alpha, beta;
  };

  SEEDNORM_DEVICE Cols cols(int c, int n) const {
    return {this->gamma_.load(c, n), this->alpha_.load(c, n), this->beta_.load(c, n)};
  }
  SEEDNORM_DEVICE void begin(int64_t row, State& state) const { state.scale = stat<A>(this->args_, row, 0); }

  SEEDNORM_DEVICE void accumulate(Cols cols, const State&, Vec<T> x, const Vec<T>& dy, const At& at,
                                  A* sums) {
    Vec<T> g = upstream(dy, at);
    A dot = this->single() ? sums[1] : 0;
    for_elements<kGeneral, T>(
        [&](int e, A x, A g, A gamma, A alpha, A beta) {
          const A gx = g * x;
          if constexpr (kGeneral) {
            if (e >= at.n) return;
            alpha = (this->without_beta() ? 1 : alpha) * this->keep(at.row, at.c + e);
            if (this->elementwise()) {
              gamma = std::fma(sigma_value(this->sigma_, this->inner(x, beta)), alpha, gamma);
            }
          }
          sums[0] = std::fma(gamma, gx, sums[0]);
          dot = std::fma(alpha, gx, dot);
        },
        x, g, cols.gamma, cols.alpha, cols.beta);
    if (this->single()) {
      sums[1] = dot;
    } else if (this->heads_.whole) {
      this->heads_.set_dot(at.r, at.c, dot);
    }
  }

  template <int kRows>
  SEEDNORM_DEVICE void finish(RowGroup<A>& group, const RowsAtOnce& rows, A (&sums)[2 * kRows],
                              State (&state)[kRows]) {
    group.sum(sums);
    A heads_sum[kRows] = {};  // of u_h A_h
    if (this->single()) {
#pragma unroll
      for (int r = 0; r < kRows; ++r) {
        if (!rows.has(r) || this->elementwise()) continue;
        const A a = sums[2 * r + 1], z = stat<A>(this->args_, rows.row(r), 1);
        state[r].u = this->without_beta() ? z : sigma_value(this->sigma_, z);
        state[r].c = this->without_beta()
                         ? state[r].scale * a
                         : sigma_slope(this->sigma_, z) * this->dot_scale_ * (state[r].scale * a);
        heads_sum[r] = state[r].u * a;
      }
    } else {
      sum_heads<kRows>(group, rows, heads_sum);
    }
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      state[r].pull =
          RmsScale::pull(state[r].scale, sums[2 * r] + heads_sum[r], static_cast<A>(this->args_.dim), A{0});
    }
  }

  SEEDNORM_DEVICE Vec<T> map(Cols cols, const State& state, Vec<T> x, Vec<T> dy, const At& at,
                             Vec<T>* total) const {
    Vec<T> g = upstream(dy, at);
    A u_head = state.u, c_head = state.c;
    if (!this->single() && this->heads_.whole) {
      u_head = this->heads_.at(0, at.r, at.c);
      c_head = this->heads_.at(1, at.r, at.c);
    }
    Vec<T> dx = {}, gain = {};
    for_elements<kGeneral, T>(
        [&](int e, A& dx, A& w, A x, A g, A gamma, A alpha, A beta, A& dalpha, A& dbeta) {
          const A g_scaled = g * state.scale;
          A u = u_head, slope = c_head;
          A to_alpha = u * g_scaled * x;
          if constexpr (kGeneral) {
            if (e >= at.n) return;
            const A keep = this->keep(at.row, at.c + e);
            if (!this->single() && !this->heads_.whole) {
              u = this->heads_.at(0, at.r, at.c + e);
              slope = this->heads_.at(1, at.r, at.c + e);
            }
            u *= keep;
            to_alpha = u * g_scaled * x;
            if (this->args_.options.beta != Form::kVector) {  // outer: dy . dy/du before sigma
              const A z = this->inner(x, beta), value = sigma_value(this->sigma_, z);
              const A outer = this->elementwise() ? g_scaled * x * keep : c_head;
              slope = outer * alpha * (sigma_slope(this->sigma_, z) * this->dot_scale_);
              to_alpha = outer * value;
              if (this->elementwise()) {
                u = value * keep;
              } else {
                alpha = beta = 1;
              }
            }
          }
          w = std::fma(u, alpha, gamma);
          dx = std::fma(slope, beta, std::fma(-x, state.pull, w * g_scaled));
          dalpha += to_alpha;
          dbeta = std::fma(slope, x, dbeta);
        },
        dx, gain, x, g, cols.gamma, cols.alpha, cols.beta, total[kAlphaSlot], total[kAlphaSlot + 1]);
#pragma unroll
    for (int e = 0; e < kCols<T>; ++e) {
      if constexpr (kConditional) {
        total[2].at[e] = std::fma(gain.at[e] * dy.at[e], x.at[e] * state.scale, total[2].at[e]);
        total[3].at[e] += dy.at[e];
      } else {
        total[0].at[e] = std::fma(g.at[e] * state.scale, x.at[e], total[0].at[e]);
      }
    }
    return dx;
  }

 private:
  SEEDNORM_DEVICE Vec<T> upstream(const Vec<T>& dy, const At& at) const {
    if constexpr (!kConditional) return dy;
    Vec<T> g;
    const Vec<T> gamma_c = this->condition(Param::kGammaC, at.row, at.c, at.n);
#pragma unroll
    for (int e = 0; e < kCols<T>; ++e) g.at[e] = dy.at[e] * (1 + gamma_c.at[e]);
    return g;
  }

  // Puts u_h and c_h of each head in shared memory, and gives all threads the sums of u_h A_h.
  template <int kRows>
  SEEDNORM_DEVICE void sum_heads(RowGroup<A>& group, const RowsAtOnce& rows, A (&sum_of_rows)[kRows]) {
    const KernelArgs& args = this->args_;
    const RowsOf<T> x(args.x), dy(args.dy);
    this->heads_.template sum<kRows>(
        group,
        [&](int r, int c) {
          if (!rows.has(r)) return A{0};
          const int64_t row = rows.row(r);
          A g = unpack<T>(load_elements(dy.at(row, c), 1)).at[0];
          if constexpr (kConditional) g *= 1 + this->condition(Param::kGammaC, row, c, 1).at[0];
          const A alpha = this->alpha_.load(c, 1).at[0] * this->keep(row, c);
          return alpha * (g * unpack<T>(load_elements(x.at(row, c), 1)).at[0]);
        },
        [&](int r, int head, A a) {
          if (!rows.has(r)) return;
          const A z = stat<A>(args, rows.row(r), 1 + head);
          const A u = sigma_value(this->sigma_, z);
          this->heads_.value(0, r, head) = u;
          this->heads_.value(1, r, head) =
              sigma_slope(this->sigma_, z) * this->dot_scale_ * (stat<A>(args, rows.row(r), 0) * a);
#pragma unroll
          for (int i = 0; i < kRows; ++i) {
            if (i == r) sum_of_rows[i] = std::fma(u, a, sum_of_rows[i]);
          }
        });
    group.sum(sum_of_rows);  // and makes the values visible
  }
};

// Whether the kernels without kGeneral suffice. This depends only on options, width and dtype, and on
// dropout, which changes results anyway.
template <class T>
bool needs_general(const KernelArgs& args) {
  const bool straddled = args.options.num_heads > 1 && args.dim / args.options.num_heads % kCols<T> != 0;
  const bool huge = args.dim / kCols<T> * static_cast<int64_t>(sizeof(Acc<T>)) > kMaxDotBytes;
  return args.dropout || args.options.beta != Form::kVector || straddled ||
         (args.options.num_heads > 1 && huge);
}

template <class T, bool kConditional>
struct SeedKernels {
  static void forward(const KernelArgs& args, int64_t rows, Stream stream) {
    if (needs_general<T>(args)) return run_forward<T, SeedForward<T, true, kConditional>>(args, rows, stream);
    run_forward<T, SeedForward<T, false, kConditional>>(args, rows, stream);
  }
  static void backward(const KernelArgs& args, int64_t rows, const Chunks& chunks, const Slots& slots,
                       Stream stream) {
    // AdaSeeDNorm's four slots and a sample's parameters do not fit in a thread's registers.
    if constexpr (!kConditional) {
      if (!needs_general<T>(args)) {
        return run_backward<T, SeedBackward<T, false, kConditional>>(args, rows, chunks, slots, stream);
      }
    }
    run_backward<T, SeedBackward<T, true, kConditional>>(args, rows, chunks, slots, stream);
  }
};

}  // namespace seednorm::cuda

#endif  // SEEDNORM_CORE_CUDA_SEED_CUH_

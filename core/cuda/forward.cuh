// The forward pass: reads x (and the residual), writes y (and their sum), each once unless the row is huge.
//
// Vectors hold zeros beyond the row's columns.
#ifndef SEEDNORM_CORE_CUDA_FORWARD_CUH_
#define SEEDNORM_CORE_CUDA_FORWARD_CUH_

#include <concepts>

#include "core/cuda/geometry.h"
#include "core/cuda/launch.cuh"
#include "core/cuda/row_group.cuh"

namespace seednorm::cuda {

struct ForwardLaunch {
  KernelArgs args;
  int64_t rows;
  int tiles;
};

// The input of the norm: x, or x + residual as it is stored in `sum`.
template <class T>
class Input {
 public:
  SEEDNORM_DEVICE explicit Input(const KernelArgs& args) : x_(args.x), residual_(args.residual) {}

  SEEDNORM_DEVICE Raw load(int64_t row, int c, int n) const {
    const Raw x = x_.load(row, c, n);
    return residual_ ? add(x, residual_.load(row, c, n)) : x;
  }
  SEEDNORM_DEVICE Acc<T> element(int64_t row, int c) const {
    const Raw x = load_elements(x_.at(row, c), 1);
    return unpack<T>(residual_ ? add(x, load_elements(residual_.at(row, c), 1)) : x).at[0];
  }

 private:
  SEEDNORM_DEVICE static Raw add(const Raw& a, const Raw& b) {
    Vec<T> sum = unpack<T>(a);
    const Vec<T> other = unpack<T>(b);
#pragma unroll
    for (int e = 0; e < kCols<T>; ++e) sum.at[e] += other.at[e];
    return pack<T>(sum);
  }

  const RowsOf<T> x_, residual_;
};

// The interface of every policy. If a policy lacks a part, the compile error shows the line that requires it.
template <class P, class T>
concept RowPolicy = requires(const KernelArgs& args, const RowGroup<Acc<T>>& group, const P& policy) {
  { P::kSums } -> std::convertible_to<int>;         // numbers summed over a row, 0 for norms without any
  { P::kFewKernels } -> std::convertible_to<bool>;  // whether narrow rows have no kernels of their own
  // The shared memory for this many rows of a group at once; called on the host.
  { P::shared_bytes(args, Geometry{}, 1) } -> std::convertible_to<int>;
  P(args, group, static_cast<void*>(nullptr), 1);  // group, its shared memory, its rows at once
  policy.cols(0, 1);                               // parameters of the n columns from c on
};

// The further interface of a forward policy. x is the row's vector at `at`.
template <class P, class T>
concept SumsForward =
    requires(P policy, const Input<T>& input, RowGroup<Acc<T>>& group, const RowsAtOnce& rows, Vec<T> x,
             At at, Acc<T> (&sums)[P::kSums], typename P::State (&state)[1]) {
      policy.accumulate(policy.sum_cols(0, 1), x, at, &sums[0]);
      policy.template finish<1>(input, group, rows, sums,
                                state);  // sums to the state of each row; all threads call it
    };
// LayerNorm's second pass, whose sums need the first one's.
template <class P, class T>
concept SumsTwice = requires(P policy, RowGroup<Acc<T>>& group, Vec<T> x, At at, Acc<T> (&sums)[P::kSums],
                             typename P::State (&state)[1]) {
  policy.template finish_first<1>(group, sums, state);
  policy.accumulate_second(x, at, state[0], &sums[0]);
};
template <class P, class T>
concept ForwardPolicy =
    RowPolicy<P, T> && (P::kSums == 0 || SumsForward<P, T>)&&(!P::kCentred || SumsTwice<P, T>)&&requires(
                           P policy, typename P::State state, Vec<T> x, At at) {
      { policy.map(policy.cols(0, 1), state, x, at) } -> std::same_as<Vec<T>>;  // y
    };

template <class T, ForwardPolicy<T> Policy, int kRows, int kVecs>
__global__ void __launch_bounds__(kMaxLanes, 1) forward_kernel(const __grid_constant__ ForwardLaunch launch) {
  using A = Acc<T>;
  const KernelArgs& args = launch.args;
  RowGroup<A> group(shared_memory());
  Policy policy(args, group, shared_memory() + RowGroup<A>::shared_bytes(blockDim.x * blockDim.y / kWarp),
                kRows);
  const Input<T> input(args);
  const RowsOf<T> y(args.y), sum(args.sum);
  const int dim = static_cast<int>(args.dim);
  const RowsAtOnce rows = {static_cast<int64_t>(blockIdx.x) * group.count * kRows + group.index, group.count,
                           launch.rows};

  Raw x[kRows][kVecs];
  const auto load_tile = [&](int tile) {
#pragma unroll
    for (int k = 0; k < kVecs; ++k) {
      const int c = column<T, kVecs>(group, tile, k);
#pragma unroll
      for (int r = 0; r < kRows; ++r) {
        x[r][k] = {};
        if (c < dim && rows.has(r)) x[r][k] = input.load(rows.row(r), c, dim - c);
      }
    }
  };
  // Calls body(k, c, n, cols) for each vector of the tile that has columns.
  const auto for_columns = [&](int tile, const auto& cols, const auto& body) {
#pragma unroll
    for (int k = 0; k < kVecs; ++k) {
      const int c = column<T, kVecs>(group, tile, k);
      if (c < dim) body(k, c, dim - c, cols(c, dim - c));
    }
  };

  typename Policy::State state[kRows] = {};
  if constexpr (Policy::kSums > 0) {
    A sums[kRows * Policy::kSums] = {};
    for (int tile = 0; tile < launch.tiles; ++tile) {
      load_tile(tile);
      for_columns(
          tile, [&](int c, int n) { return policy.sum_cols(c, n); },
          [&](int k, int c, int n, const auto& cols) {
#pragma unroll
            for (int r = 0; r < kRows; ++r) {
              policy.accumulate(cols, unpack<T>(x[r][k]), At{rows.row(r), r, c, n}, &sums[r * Policy::kSums]);
            }
          });
    }
    if constexpr (Policy::kCentred) {
      policy.template finish_first<kRows>(group, sums, state);
      for (int tile = 0; tile < launch.tiles; ++tile) {
        if (launch.tiles > 1) load_tile(tile);
        for_columns(
            tile, [](int, int) { return 0; },
            [&](int k, int c, int n, int) {
#pragma unroll
              for (int r = 0; r < kRows; ++r) {
                const At at = {rows.row(r), r, c, n};
                policy.accumulate_second(unpack<T>(x[r][k]), at, state[r], &sums[r * Policy::kSums]);
              }
            });
      }
    }
    policy.template finish<kRows>(input, group, rows, sums, state);
  }

  for (int tile = 0; tile < launch.tiles; ++tile) {
    if (launch.tiles > 1 || Policy::kSums == 0) load_tile(tile);
    for_columns(
        tile, [&](int c, int n) { return policy.cols(c, n); },
        [&](int k, int c, int n, const auto& cols) {
#pragma unroll
          for (int r = 0; r < kRows; ++r) {
            if (!rows.has(r)) continue;
            const int64_t row = rows.row(r);
            if (sum) sum.store(x[r][k], row, c, n);
            y.store(pack<T>(policy.map(cols, state[r], unpack<T>(x[r][k]), At{row, r, c, n})), row, c, n);
          }
        });
  }
}

// Queues a forward pass of `rows` rows.
template <class T, ForwardPolicy<T> Policy>
void run_forward(const KernelArgs& args, int64_t rows, Stream stream) {
  const Geometry g = forward_geometry(args.dim, kCols<T>);
  const auto run = [&]<int kRows, int kVecs>() {
    const int64_t blocks = (rows + g.groups * kRows - 1) / (g.groups * kRows);
    const int shared =
        RowGroup<Acc<T>>::shared_bytes(g.lanes * g.groups / kWarp) + Policy::shared_bytes(args, g, kRows);
    launch(forward_kernel<T, Policy, kRows, kVecs>, dim3(static_cast<unsigned>(blocks)),
           dim3(static_cast<unsigned>(g.lanes), static_cast<unsigned>(g.groups)), shared, stream,
           ForwardLaunch{args, rows, g.tiles});
  };
  // Narrow rows use the kernels of wide ones, with the same threads and sums, if fewer kernels matter more
  // than speed; float64 is for checks.
  if constexpr (!std::is_same_v<T, double> && !Policy::kFewKernels) {
    if (g.shape == Shape::kNarrow) return run.template operator()<kForwardNarrowRows, 1>();
  }
  run.template operator()<kForwardWideRows, kForwardVecs>();
}

}  // namespace seednorm::cuda

#endif  // SEEDNORM_CORE_CUDA_FORWARD_CUH_

// The forward pass: reads x (and the residual), writes y (and their sum), each once unless the row is huge.
//
// What a forward policy gives:
//   kSums                   numbers summed over a row, 0 for norms without any
//   kFewKernels             whether narrow rows shall go without kernels of their own
//   kCentred                whether a second pass follows whose sums need the first one's; LayerNorm's
//   shared_bytes(args, geometry, rows)    of shared memory, `rows` a group at once; called on the host
//   Policy(args, group, shared, rows)
//   cols(c, n)              parameters of the columns from c on; in the pass that sums, sum_cols(c, n)
//   accumulate(cols, x, c, n, r, sums)    adds a vector of the group's r-th row
//   finish(input, group, rows, sums, state)    turns sums into the state of each row; all threads call it
//   map(cols, state, row, r, x, c, n) -> y
// Vectors hold zeros beyond the row's n columns.
#ifndef SEEDNORM_CORE_CUDA_FORWARD_CUH_
#define SEEDNORM_CORE_CUDA_FORWARD_CUH_

#include "core/cuda/geometry.h"
#include "core/cuda/launch.cuh"
#include "core/cuda/row_group.cuh"

namespace seednorm::cuda {

struct ForwardLaunch {
  KernelArgs args;
  int64_t rows;
  int tiles;
};

// What the norm sees: x, or x + residual as `sum` holds it.
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

template <class T, class Policy, int kRows, int kVecs>
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
              policy.accumulate(cols, unpack<T>(x[r][k]), c, n, r, &sums[r * Policy::kSums]);
            }
          });
    }
    if constexpr (Policy::kCentred) {
      policy.template finish_first<kRows>(group, sums, state);
      for (int tile = 0; tile < launch.tiles; ++tile) {
        if (launch.tiles > 1) load_tile(tile);
        for_columns(
            tile, [](int, int) { return 0; },
            [&](int k, int, int n, int) {
#pragma unroll
              for (int r = 0; r < kRows; ++r) {
                policy.accumulate_second(unpack<T>(x[r][k]), n, state[r], &sums[r * Policy::kSums]);
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
            y.store(pack<T>(policy.map(cols, state[r], row, r, unpack<T>(x[r][k]), c, n)), row, c, n);
          }
        });
  }
}

// Queues a forward pass of `rows` rows.
template <class T, class Policy>
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
  // Narrow rows go by the kernels of wide ones, with the same threads and sums, where fewer kernels are worth
  // more than speed: float64 is for checks.
  if constexpr (!std::is_same_v<T, double> && !Policy::kFewKernels) {
    if (g.shape == Shape::kNarrow) return run.template operator()<kForwardNarrowRows, 1>();
  }
  run.template operator()<kForwardWideRows, kForwardVecs>();
}

}  // namespace seednorm::cuda

#endif  // SEEDNORM_CORE_CUDA_FORWARD_CUH_

// The backward pass: reads x and dy, writes dx, each once unless the row is huge, and keeps the parameter
// gradients of a chunk of rows as rows of partial sums ("slots"), which finish.cu sums over the chunks.
//
// A block has one chunk and goes through its rows in order, a few at a time; the next ones are copied to
// shared memory meanwhile. A thread has the same columns in all rows, so that slots are its registers or, for
// huge rows, memory that no other thread touches. The groups of a block are summed in order at the end. There
// are no atomics, so the order of every sum is fixed.
#ifndef SEEDNORM_CORE_CUDA_BACKWARD_CUH_
#define SEEDNORM_CORE_CUDA_BACKWARD_CUH_

#include "core/cuda/forward.cuh"
#include "core/cuda/geometry.h"
#include "core/cuda/launch.cuh"
#include "core/cuda/row_group.cuh"
#include "core/kernel/chunks.h"

namespace seednorm::cuda {

struct BackwardLaunch {
  KernelArgs args;
  int64_t rows;
  int tiles;
  Chunks chunks;
  Slots slots;
  int64_t padded;        // elements of a slot
  int policy_bytes;      // of shared memory
  bool slots_in_shared;  // those of huge rows
};

// Base of policies that only need the memory of the sums, and that have kernels for every shape.
struct NoSharedMemory {
  static constexpr bool kFewKernels = false;
  static int shared_bytes(const KernelArgs&, const Geometry&, int) { return 0; }
};

// The interface of a backward policy, in addition to RowPolicy. x and g = dy are the row's vectors at `at`.
template <class P, class T>
concept SumsBackward = requires(P policy, RowGroup<Acc<T>>& group, const RowsAtOnce& rows, Vec<T> x, Vec<T> g,
                                At at, Acc<T> (&sums)[P::kSums], typename P::State (&state)[1]) {
  policy.accumulate(policy.cols(0, 1), state[0], x, g, at, &sums[0]);
  policy.template finish<1>(group, rows, sums, state);
};
template <class P, class T>
concept BackwardPolicy =
    RowPolicy<P, T> && (P::kSums == 0 || SumsBackward<P, T>)&&requires(
                           P policy, typename P::State state, Vec<T> x, Vec<T> g, At at, Vec<T>* totals) {
      // Rows of partial sums, as NormInfo orders parameters; the last ones are per sample.
      { P::kSlots } -> std::convertible_to<int>;
      { P::kSampleSlots } -> std::convertible_to<int>;
      policy.begin(int64_t{}, state);  // loads the row's statistics
      // dx; adds the row's contributions to totals[kSlots].
      { policy.map(policy.cols(0, 1), state, x, g, at, totals) } -> std::same_as<Vec<T>>;
    };

template <class T, BackwardPolicy<T> Policy, int kRows, int kVecs, bool kHuge>
class BackwardPass {
 public:
  using A = Acc<T>;
  static constexpr int kSlots = Policy::kSlots, kSampleSlots = Policy::kSampleSlots;
  static constexpr int kChunkSlots = kSlots - kSampleSlots;
  // Bytes of shared memory per thread, for two steps of x and dy. Groups are summed there as well.
  static constexpr int kStageBytes = kHuge ? 0 : 2 * 2 * kRows * kVecs * static_cast<int>(sizeof(Raw));
  static_assert(kHuge || kStageBytes >= static_cast<int>(sizeof(Vec<T>)));

  SEEDNORM_DEVICE BackwardPass(const BackwardLaunch& launch, unsigned char* shared)
      : launch_(launch),
        args_(launch.args),
        group_(shared),
        policy_(args_, group_, shared + sums_bytes(), kRows),
        memory_(shared + sums_bytes() + launch.policy_bytes),
        x_(args_.x),
        dy_(args_.dy),
        dsum_(args_.dsum),
        dx_(args_.dx),
        dim_(static_cast<int>(args_.dim)) {}

  SEEDNORM_DEVICE void run() {
    const int64_t chunk = blockIdx.x;
    const int64_t end = first_row(chunk + 1);
    clear(0, kSlots);
    for (int64_t begin = first_row(chunk); begin < end;) {
      const int64_t sample = args_.rows_per_sample == 0 ? 0 : begin / args_.rows_per_sample;
      const int64_t next = args_.rows_per_sample == 0 ? end : (sample + 1) * args_.rows_per_sample;
      const int64_t last = next < end ? next : end;
      rows(begin, last);
      begin = last;
      if constexpr (kSampleSlots > 0) {
        if (!samples_in_chunk()) continue;
#pragma unroll
        for (int s = kChunkSlots; s < kSlots; ++s) give(s, sample);
        __syncthreads();  // before the next sample's rows come to the memory where groups were summed
        clear(kChunkSlots, kSlots);
      }
    }
#pragma unroll
    for (int s = 0; s < kSlots; ++s) {
      if (s < kChunkSlots || !samples_in_chunk()) give(s, -1);
    }
  }

 private:
  SEEDNORM_DEVICE static int sums_bytes() {
    return RowGroup<A>::shared_bytes(static_cast<int>(blockDim.x * blockDim.y) / kWarp);
  }
  SEEDNORM_DEVICE int64_t first_row(int64_t chunk) const {
    return launch_.chunks.begin(chunk, launch_.rows, args_.rows_per_sample);
  }
  SEEDNORM_DEVICE bool samples_in_chunk() const {
    return args_.rows_per_sample > 0 && launch_.chunks.per_sample == 0;
  }

  // Calls body(tile, k, c) for each vector of the thread that has columns.
  template <class Body>
  SEEDNORM_DEVICE void for_columns(int tile, const Body& body) const {
#pragma unroll
    for (int k = 0; k < kVecs; ++k) {
      const int c = column<T, kVecs>(group_, tile, k);
      if (c < dim_) body(k, c);
    }
  }

  // --- Rows [begin, last), all of one sample ---

  SEEDNORM_DEVICE void rows(int64_t begin, int64_t last) {
    const int64_t step = group_.count * kRows;
    RowsAtOnce rows = {begin + group_.index, group_.count, last};
    if constexpr (!kHuge) fetch(rows, 0);
    int turn = 0;
    for (int64_t at = begin; at < last; at += step, rows.first += step, turn ^= 1) {
      if constexpr (!kHuge) {
        fetch({rows.first + step, rows.step, last}, turn ^ 1);
        wait_for_copies<1>();
      }
      typename Policy::State state[kRows] = {};
#pragma unroll
      for (int r = 0; r < kRows; ++r) {
        if (rows.has(r)) policy_.begin(rows.row(r), state[r]);
      }
      if constexpr (Policy::kSums > 0) sum(rows, turn, state);
      map(rows, turn, state);
    }
    if constexpr (!kHuge) wait_for_copies<0>();
  }

  SEEDNORM_DEVICE Raw* stage(int turn, int tensor, int r, int k) const {
    const int threads = group_.size * group_.count;
    const int slot = ((turn * 2 + tensor) * kRows + r) * kVecs + k;
    return reinterpret_cast<Raw*>(memory_) + slot * threads + group_.index * group_.size + group_.lane;
  }
  SEEDNORM_DEVICE void fetch(const RowsAtOnce& rows, int turn) {
    const auto copy = [&](const RowsOf<T>& from, int64_t row, int c, Raw* to) {
      if (from.aligned() && dim_ - c >= kCols<T>) {
        copy_async(reinterpret_cast<const Raw*>(from.at(row, c)), to);
      } else {
        *to = load_elements(from.at(row, c), dim_ - c);
      }
    };
    for_columns(0, [&](int k, int c) {
#pragma unroll
      for (int r = 0; r < kRows; ++r) {
        if (!rows.has(r)) continue;
        copy(x_, rows.row(r), c, stage(turn, 0, r, k));
        copy(dy_, rows.row(r), c, stage(turn, 1, r, k));
      }
    });
    close_copies();
  }
  SEEDNORM_DEVICE Vec<T> loaded(const RowsOf<T>& from, int tensor, const At& at, int turn, int k) const {
    if constexpr (kHuge) return unpack<T>(from.load(at.row, at.c, at.n));
    return unpack<T>(*stage(turn, tensor, at.r, k));
  }

  SEEDNORM_DEVICE void sum(const RowsAtOnce& rows, int turn, typename Policy::State (&state)[kRows]) {
    A sums[kRows * Policy::kSums] = {};
    for (int tile = 0; tile < (kHuge ? launch_.tiles : 1); ++tile) {
      for_columns(tile, [&](int k, int c) {
        const auto cols = policy_.cols(c, dim_ - c);
#pragma unroll
        for (int r = 0; r < kRows; ++r) {
          if (!rows.has(r)) continue;
          const At at = {rows.row(r), r, c, dim_ - c};
          policy_.accumulate(cols, state[r], loaded(x_, 0, at, turn, k), loaded(dy_, 1, at, turn, k), at,
                             &sums[r * Policy::kSums]);
        }
      });
    }
    policy_.template finish<kRows>(group_, rows, sums, state);
  }

  SEEDNORM_DEVICE void map(const RowsAtOnce& rows, int turn, const typename Policy::State (&state)[kRows]) {
    for (int tile = 0; tile < (kHuge ? launch_.tiles : 1); ++tile) {
      for_columns(tile, [&](int k, int c) {
        const auto cols = policy_.cols(c, dim_ - c);
        Vec<T>* total = totals_[k];
        if constexpr (kHuge) load_slots(c, total);
#pragma unroll
        for (int r = 0; r < kRows; ++r) {
          if (!rows.has(r)) continue;
          const At at = {rows.row(r), r, c, dim_ - c};
          Vec<T> dx =
              policy_.map(cols, state[r], loaded(x_, 0, at, turn, k), loaded(dy_, 1, at, turn, k), at, total);
          if (dsum_) dx = plus(dx, unpack<T>(dsum_.load(at.row, c, at.n)));
          dx_.store(pack<T>(dx), at.row, c, at.n);
        }
        if constexpr (kHuge) store_slots(c, total);
      });
    }
  }

  // --- Slots ---

  SEEDNORM_DEVICE static Vec<T> plus(Vec<T> a, const Vec<T>& b) {
#pragma unroll
    for (int e = 0; e < kCols<T>; ++e) a.at[e] += b.at[e];
    return a;
  }
  SEEDNORM_DEVICE bool wanted(int s) const { return args_.grad(launch_.slots.params[s]).data != nullptr; }
  SEEDNORM_DEVICE A* partial(int s, int c) const {
    return static_cast<A*>(args_.partials) +
           (static_cast<int64_t>(blockIdx.x) * kSlots + s) * launch_.padded + c;
  }
  struct alignas(16) Aligned : Vec<T> {};
  SEEDNORM_DEVICE static void put(const Vec<T>& v, A* to) { *reinterpret_cast<Aligned*>(to) = Aligned{v}; }
  SEEDNORM_DEVICE static Vec<T> get(const A* from) { return *reinterpret_cast<const Aligned*>(from); }

  // The place where the slots of huge rows are summed: shared memory, or the partial sums themselves.
  SEEDNORM_DEVICE A* slot(int s, int c) const {
    return launch_.slots_in_shared ? reinterpret_cast<A*>(memory_) + s * launch_.padded + c : partial(s, c);
  }
  SEEDNORM_DEVICE void load_slots(int c, Vec<T>* total) const {
    if (args_.partials == nullptr) return;
#pragma unroll
    for (int s = 0; s < kSlots; ++s) total[s] = get(slot(s, c));
  }
  SEEDNORM_DEVICE void store_slots(int c, const Vec<T>* total) const {
    if (args_.partials == nullptr) return;
#pragma unroll
    for (int s = 0; s < kSlots; ++s) put(total[s], slot(s, c));
  }

  SEEDNORM_DEVICE void clear(int first_slot, int last_slot) {
    for (int tile = 0; tile < (kHuge ? launch_.tiles : 1); ++tile) {
      for_columns(tile, [&](int k, int c) {
#pragma unroll
        for (int s = 0; s < kSlots; ++s) {
          if (s < first_slot || s >= last_slot) continue;
          totals_[k][s] = {};
          if (kHuge && args_.partials != nullptr) put({}, slot(s, c));
        }
      });
    }
  }

  // Stores the block's sums of slot s in the partial sums, or those of a sample in its gradient.
  SEEDNORM_DEVICE void give(int s, int64_t sample) {
    if (args_.partials == nullptr || !wanted(s)) return;
    const Param param = launch_.slots.params[s];
    const bool scalar = args_.param(param).mask == 0;
    A sum[1] = {0};  // of a scalar's contributions
    for (int tile = 0; tile < (kHuge ? launch_.tiles : 1); ++tile) {
#pragma unroll
      for (int k = 0; k < kVecs; ++k) {
        const int c = column<T, kVecs>(group_, tile, k);
        const Vec<T> total = block_total(s, k, c);
        if (group_.index > 0 || c >= dim_) continue;
        if (scalar) {
#pragma unroll
          for (int e = 0; e < kCols<T>; ++e) sum[0] += c + e < dim_ ? total.at[e] : 0;
        } else if (sample < 0) {
          put(total, partial(s, c));
        } else {
          store_gradient(args_.grad(param), sample, c, total);
        }
      }
    }
    if (!scalar) return;
    group_.sum(sum);
    if (group_.index == 0 && group_.lane == 0) *partial(s, 0) = sum[0];
  }
  // Returns, in the threads of the first group, the slot's sum over all groups, in order. All threads must
  // call it.
  SEEDNORM_DEVICE Vec<T> block_total(int s, int k, int c) {
    if constexpr (kHuge) return c < dim_ ? get(slot(s, c)) : Vec<T>{};
    const Vec<T> own = totals_[k][s];
    if (group_.count == 1) return own;
    A* const all = reinterpret_cast<A*>(memory_) + group_.lane * kCols<T>;
    __syncthreads();  // all threads have used what the memory held before
    put(own, all + group_.index * group_.size * kCols<T>);
    __syncthreads();
    Vec<T> total = get(all);
    for (int i = 1; i < group_.count; ++i) total = plus(total, get(all + i * group_.size * kCols<T>));
    return total;
  }
  SEEDNORM_DEVICE void store_gradient(const View& grad, int64_t sample, int c, const Vec<T>& total) const {
#pragma unroll
    for (int e = 0; e < kCols<T>; ++e) {
      if (c + e < dim_) store_element(grad.data, grad.dtype, sample * grad.stride + c + e, total.at[e]);
    }
  }

  const BackwardLaunch& launch_;
  const KernelArgs& args_;
  RowGroup<A> group_;
  Policy policy_;
  unsigned char* const memory_;  // the stage, or the slots of huge rows
  const RowsOf<T> x_, dy_, dsum_, dx_;
  const int dim_;
  Vec<T> totals_[kVecs][kSlots];
};

template <class T, BackwardPolicy<T> Policy, int kRows, int kVecs, bool kHuge>
__global__ void __launch_bounds__(kMaxLanes, 1)
    backward_kernel(const __grid_constant__ BackwardLaunch launch) {
  BackwardPass<T, Policy, kRows, kVecs, kHuge>(launch, shared_memory()).run();
}

// Queues a backward pass, which writes dx and the partial sums of each chunk.
template <class T, BackwardPolicy<T> Policy>
void run_backward(const KernelArgs& args, int64_t rows, const Chunks& chunks, const Slots& slots,
                  Stream stream) {
  const Geometry g = backward_geometry(args.dim, kCols<T>);
  const auto run = [&]<int kRows, int kVecs, bool kHuge>() {
    const int threads = g.lanes * g.groups;
    BackwardLaunch call{
        args, rows, g.tiles, chunks, slots, vector_padded(args.dim), Policy::shared_bytes(args, g, kRows)};
    int shared = RowGroup<Acc<T>>::shared_bytes(threads / kWarp) + call.policy_bytes +
                 BackwardPass<T, Policy, kRows, kVecs, kHuge>::kStageBytes * threads;
    if (kHuge) {
      const int64_t slot_bytes = Policy::kSlots * call.padded * static_cast<int64_t>(sizeof(Acc<T>));
      call.slots_in_shared = shared + slot_bytes <= max_shared_bytes();
      if (call.slots_in_shared) shared += static_cast<int>(slot_bytes);
    }
    launch(backward_kernel<T, Policy, kRows, kVecs, kHuge>, dim3(static_cast<unsigned>(chunks.count)),
           dim3(static_cast<unsigned>(g.lanes), static_cast<unsigned>(g.groups)), shared, stream, call);
  };
  if (g.shape == Shape::kHuge) return run.template operator()<1, kBackwardVecs, true>();
  // Narrow rows use the kernels of wide ones, with the same threads and sums, if fewer kernels matter more
  // than speed; float64 is for checks.
  if constexpr (!std::is_same_v<T, double> && !Policy::kFewKernels) {
    if (g.shape == Shape::kNarrow) return run.template operator()<kBackwardNarrowRows, 1, false>();
  }
  run.template operator()<1, kBackwardVecs, false>();
}

}  // namespace seednorm::cuda

#endif  // SEEDNORM_CORE_CUDA_BACKWARD_CUH_

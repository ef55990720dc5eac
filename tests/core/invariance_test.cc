// What results must not depend on: threads and executors, a row's neighbours and place in memory, whether the
// output is written over the input. And what they must equal: SeeDNorm with beta = 0 is RMSNorm. All bitwise.
#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <numeric>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "core/src/stream.h"
#include "seednorm/seednorm.h"
#include "tests/core/common.h"

namespace seednorm::test {
namespace {

using Task = void (*)(void* arg, int64_t i);

// Runs the tasks in this order: descending, or shuffled when `self` points to a generator.
void run_in_odd_order(void* self, int64_t num_tasks, Task task, void* arg) {
  std::vector<int64_t> order(static_cast<size_t>(num_tasks));
  std::iota(order.rbegin(), order.rend(), 0);
  if (self != nullptr) std::shuffle(order.begin(), order.end(), *static_cast<std::mt19937*>(self));
  for (const int64_t i : order) task(arg, i);
}

// Each task in a thread of its own.
void run_in_threads(void* /*self*/, int64_t num_tasks, Task task, void* arg) {
  std::vector<std::thread> threads;
  for (int64_t i = 0; i < num_tasks; ++i) threads.emplace_back(task, arg, i);
  for (std::thread& thread : threads) thread.join();
}

void expect_same_for_every_executor(const Layer& layer, const Batch& in) {
  const Results reference = run(layer, in);
  EXPECT_EQ(difference(reference, run(layer, in)), "") << "again";
  if (!kBackend.has_threads) return;
  for (const int threads : {1, 2, 3, 8}) {
    set_num_threads(threads);
    EXPECT_EQ(difference(reference, run(layer, in, default_executor())), "") << threads << " threads";
  }
  std::mt19937 generator(7);
  EXPECT_EQ(difference(reference, run(layer, in, {run_in_odd_order, nullptr, 3})), "") << "descending";
  EXPECT_EQ(difference(reference, run(layer, in, {run_in_odd_order, &generator, 8})), "") << "shuffled";
  EXPECT_EQ(difference(reference, run(layer, in, {run_in_odd_order, nullptr, 1000})), "") << "hint of 1000";
}

class Invariance : public testing::TestWithParam<std::string> {
 protected:
  ~Invariance() override { kBackend.set_target(""); }
  const std::string& name() const { return GetParam(); }
};

TEST_P(Invariance, ThreadsForEveryOption) {
  for_each_target([&] {
    for (const Options& options : option_variants(name(), 30)) {
      const Layer layer(name(), 30, options, DType::kFloat32, /*samples=*/9);
      SCOPED_TRACE(describe(layer.norm));
      Batch in(rows_for_threads(30), 30, DType::kFloat32);
      in.rows_per_sample = in.rows() / 8;  // the last sample is cut short
      expect_same_for_every_executor(layer, in);
    }
  });
}

TEST_P(Invariance, ThreadsForEveryType) {
  const bool fused = takes_residual(name());
  for_each_target([&] {
    for (const DType dtype : kDTypes) {
      for (const int64_t dim : {67, 520}) {
        const Layer layer(name(), dim, {}, sum_type(dtype), /*samples=*/4);
        SCOPED_TRACE(describe(layer.norm) + " " + name_of(dtype));
        Batch in(rows_for_threads(dim), dim, dtype, fused);
        in.rows_per_sample = in.rows() / 3;
        expect_same_for_every_executor(layer, in);
      }
    }
  });
}

TEST_P(Invariance, RealThreadsOfTheCaller) {
  const Layer layer(name(), 257, {}, DType::kBFloat16, /*samples=*/3);
  Batch in(300, 257, DType::kBFloat16);
  in.rows_per_sample = 100;
  EXPECT_EQ(difference(run(layer, in), run(layer, in, {run_in_threads, nullptr, 4})), "");
}

// The given rows alone, each with its own row of the per-sample parameters.
Layer gather(const Layer& layer, const Batch& in, const std::vector<int64_t>& rows) {
  Layer part = layer;
  std::vector<int64_t> samples;
  for (const int64_t row : rows) samples.push_back(row / in.rows_per_sample);
  for (int i = 0; i < kNumParams; ++i) {
    if (layer.norm.kind(param_at(i)) == ParamKind::kPerSample)
      part.params[i] = layer.params[i].gather(samples);
  }
  return part;
}

Batch gather(const Batch& in, const std::vector<int64_t>& rows, Placement placement = {}) {
  Batch part;
  part.fused = in.fused;
  part.x = in.x.gather(rows, placement);
  part.dy = in.dy.gather(rows, placement);
  part.residual = in.residual.gather(rows, placement);
  part.dsum = in.dsum.gather(rows, placement);
  return part;
}

class InvarianceOfHeads : public Invariance {};

std::vector<std::string> names_with_heads() {
  std::vector<std::string> names;
  std::ranges::copy_if(norm_names(), std::back_inserter(names),
                       [](const std::string& name) { return norm_info(name).has_heads; });
  return names;
}

void expect_rows_independent(const Layer& layer, const Batch& in) {
  const int64_t num_rows = in.rows();
  std::vector<Results> alone;
  for (int64_t row = 0; row < num_rows; ++row)
    alone.push_back(run(gather(layer, in, {row}), gather(in, {row})));
  const Results together = run(layer, in);
  for (int64_t row = 0; row < num_rows; ++row) EXPECT_EQ(row_difference(together, row, alone[row], 0), "");

  // Every length of a block up to 9, rows at every place of it, here and there in memory.
  for (int64_t length = 1; length <= 9; ++length) {
    for (const int64_t first : {0, 3, 8}) {
      std::vector<int64_t> rows;
      for (int64_t i = 0; i < length; ++i) rows.push_back((first + i) % num_rows);
      const Placement to = {.gap = first == 3 ? 0 : first, .shift = length};
      const Results block =
          run(gather(layer, in, rows), gather(in, rows, {first, first}), serial_executor(), to);
      EXPECT_TRUE(block.gaps_untouched);
      for (int64_t i = 0; i < length; ++i) {
        EXPECT_EQ(row_difference(block, i, alone[rows[i]], 0), "")
            << "length " << length << " first " << first;
      }
    }
  }
}

TEST_P(Invariance, RowsForEveryOption) {
  for_each_target([&] {
    for (const Options& options : option_variants(name(), 45)) {
      const Layer layer(name(), 45, options, DType::kFloat32, /*samples=*/6);
      SCOPED_TRACE(describe(layer.norm));
      Batch in(23, 45, DType::kFloat32);
      in.rows_per_sample = 4;
      expect_rows_independent(layer, in);
    }
  });
}

TEST_P(Invariance, RowsForEveryTypeAndWidth) {
  const bool fused = takes_residual(name());
  for_each_target([&] {
    for (const DType dtype : kDTypes) {
      for (const int64_t dim : {1, 2, 8, 16, 31, 64, 100, 515, 2048}) {
        // Parameters in float32 and, for other widths, in the type of the data.
        const Layer layer(name(), dim, {}, dim % 2 == 0 ? sum_type(dtype) : dtype, /*samples=*/3);
        SCOPED_TRACE(describe(layer.norm) + " " + name_of(dtype));
        Batch in(11, dim, dtype, fused);
        in.rows_per_sample = 5;
        expect_rows_independent(layer, in);
      }
    }
  });
}

// Heads of every width beside that of a vector, fewer and more of them than a vector holds: on the CPU a
// block of rows sums their columns in other instructions than a single row, but in the same order.
TEST_P(InvarianceOfHeads, RowsForEveryWidth) {
  using Numbers = std::vector<int64_t>;
  const bool on_cpu = kBackend.has_threads;
  const Numbers widths = on_cpu ? Numbers{1, 2, 3, 4, 6, 8, 12, 20, 24, 48} : Numbers{3, 12};
  const Numbers numbers_of_heads = on_cpu ? Numbers{3, 16, 21} : Numbers{5};
  for_each_target([&] {
    for (const DType dtype : {DType::kFloat32, DType::kBFloat16, DType::kFloat16}) {
      for (const int64_t width : widths) {
        for (const int64_t heads : numbers_of_heads) {
          const int64_t dim = width * heads;
          const Layer layer(name(), dim, {.num_heads = heads}, DType::kFloat32, /*samples=*/3);
          SCOPED_TRACE(describe(layer.norm) + " " + name_of(dtype));
          Batch in(11, dim, dtype, takes_residual(name()));
          in.rows_per_sample = 5;
          expect_rows_independent(layer, in);
        }
      }
    }
  });
}

// Above a size the output goes past the caches, with other stores, if its alignment allows.
TEST_P(Invariance, RowsOfTensorsBeyondTheCaches) {
  constexpr int64_t kDim = 1024;
  constexpr int64_t kPart = 64;  // rows compared at each end
  const int64_t rows = stream_threshold_bytes() / (2 * kDim * 4) + 5;
  const Layer layer(name(), kDim);
  Batch in(rows, kDim, DType::kFloat32);
  in.rows_per_sample = rows;
  const Results whole = run(layer, in);
  for (const int threads : {2, 3}) {
    set_num_threads(threads);
    EXPECT_EQ(difference(whole, run(layer, in, default_executor())), "") << threads << " threads";
  }
  const Results shifted = run(layer, in, serial_executor(), {.gap = 0, .shift = 1});
  EXPECT_EQ(difference(whole, shifted), "") << "misaligned";
  for (const int64_t first : {int64_t{0}, rows - kPart}) {
    std::vector<int64_t> part(kPart);
    std::iota(part.begin(), part.end(), first);
    Batch few_in = gather(in, part);
    few_in.rows_per_sample = kPart;
    const Results few = run(layer, few_in);
    for (int64_t i = 0; i < kPart; ++i) EXPECT_EQ(row_difference(few, i, whole, first + i), "");
  }
}

// The results with some of the outputs on top of the inputs.
Results run_in_place(const Layer& layer, const Batch& original, bool dx_on_dy) {
  Batch in = original;
  Results out = make_results(layer, in);
  ForwardArgs forward = forward_args(layer, in, out);
  forward.y = in.x.view();
  kBackend.forward(layer.norm, forward, default_executor());
  out.y = in.x;
  in.x = original.x;
  std::vector<double> scratch;
  BackwardArgs backward = backward_args(layer, in, out, scratch);
  backward.dx = dx_on_dy ? in.dy.view() : in.x.view();
  kBackend.backward(layer.norm, backward, default_executor());
  out.dx = dx_on_dy ? in.dy : in.x;
  return out;
}

Results run_fused_in_place(const Layer& layer, const Batch& original, bool sum_on_x) {
  Batch in = original;
  Results out = make_results(layer, in);
  ForwardArgs forward = forward_args(layer, in, out);
  forward.sum = sum_on_x ? in.x.view() : in.residual.view();
  kBackend.forward(layer.norm, forward, default_executor());
  out.sum = sum_on_x ? in.x : in.residual;
  std::vector<double> scratch;
  Matrix sum = out.sum;
  BackwardArgs backward = backward_args(layer, in, out, scratch);
  backward.x = sum.view();
  backward.dx = sum.view();
  kBackend.backward(layer.norm, backward, default_executor());
  out.dx = sum;
  return out;
}

TEST_P(Invariance, InPlace) {
  const bool takes_fused = takes_residual(name());
  for_each_target([&] {
    for (const DType dtype : kDTypes) {
      for (const int64_t dim : {5, 66, 512}) {
        const Layer layer(name(), dim, {}, sum_type(dtype), /*samples=*/2);
        SCOPED_TRACE(describe(layer.norm) + " " + name_of(dtype));
        Batch in(37, dim, dtype);
        in.rows_per_sample = 20;
        const Results reference = run(layer, in);
        EXPECT_EQ(difference(reference, run_in_place(layer, in, false)), "") << "y and dx on x";
        EXPECT_EQ(difference(reference, run_in_place(layer, in, true)), "") << "y on x, dx on dy";
        if (!takes_fused) continue;
        in.fused = true;
        const Results fused = run(layer, in);
        EXPECT_EQ(difference(fused, run_fused_in_place(layer, in, false)), "") << "sum on residual";
        EXPECT_EQ(difference(fused, run_fused_in_place(layer, in, true)), "") << "sum on x";
      }
    }
  });
}

INSTANTIATE_TEST_SUITE_P(Norms, Invariance, testing::ValuesIn(norm_names()),
                         [](const auto& info) { return info.param; });
INSTANTIATE_TEST_SUITE_P(Norms, InvarianceOfHeads, testing::ValuesIn(names_with_heads()),
                         [](const auto& info) { return info.param; });

// With beta = 0 the dynamic coefficient is 0 whatever alpha: y and dx have RMSNorm's bits, and so has dgamma
// where beta is a vector.
void expect_rms_norm(Layer see, const Batch& in) {
  see.param(Param::kBeta).fill_with(0);
  const Options& options = see.norm.options();
  Layer rms("rms_norm", see.norm.dim(), {.eps = options.eps, .gamma = options.gamma});
  rms.param(Param::kGamma) = see.param(Param::kGamma);
  const Results a = run(see, in);
  const Results b = run(rms, in);
  EXPECT_EQ(difference("y", a.y, b.y), "");
  EXPECT_EQ(difference("dx", a.dx, b.dx), "");
  if (options.beta == Form::kVector) {
    EXPECT_EQ(difference("dgamma", a.grads[0], b.grads[0]), "");
  }
  if (in.fused) {
    EXPECT_EQ(difference("sum", a.sum, b.sum), "");
  }
}

TEST(ZeroBeta, IsRmsNormForEveryTypeAndHeads) {
  for_each_target([&] {
    for (const DType dtype : kDTypes) {
      for (const DType param_dtype : param_types(dtype)) {
        // Width of a head: a whole number of vectors, less than one, odd.
        for (const auto& [heads, dim] : std::vector<std::pair<int64_t, int64_t>>{{1, 1},
                                                                                 {1, 13},
                                                                                 {1, 64},
                                                                                 {1, 1000},
                                                                                 {2, 14},
                                                                                 {2, 256},
                                                                                 {3, 21},
                                                                                 {3, 96},
                                                                                 {16, 80},
                                                                                 {16, 1040}}) {
          const Layer layer("seed_norm", dim, {.num_heads = heads}, param_dtype);
          SCOPED_TRACE(describe(layer.norm) + " " + name_of(dtype) + " " + name_of(param_dtype));
          expect_rms_norm(layer, Batch(37, dim, dtype));
          expect_rms_norm(layer, Batch(7, dim, dtype, /*fused=*/true));
        }
      }
    }
  });
}

TEST(ZeroBeta, IsRmsNormForEveryForm) {
  for_each_target([&] {
    for (Options options : option_variants("seed_norm", 45)) {
      // sigma(0) is 0.5 for sigmoid; without beta the coefficient is not 0, without gamma it is all there is.
      if (options.sigma == Sigma::kSigmoid || options.beta == Form::kNone || options.gamma == Form::kNone)
        continue;
      options.eps = 1e-5;
      const Layer layer("seed_norm", 45, options);
      SCOPED_TRACE(describe(layer.norm));
      expect_rms_norm(layer, Batch(37, 45, DType::kFloat32));
    }
  });
}

}  // namespace
}  // namespace seednorm::test

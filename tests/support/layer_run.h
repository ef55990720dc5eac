// A case run through the library, with every buffer guarded.
#ifndef SEEDNORM_TESTS_SUPPORT_LAYER_RUN_H_
#define SEEDNORM_TESTS_SUPPORT_LAYER_RUN_H_

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "seednorm/norm.h"
#include "tests/support/backend.h"
#include "tests/support/layer_case.h"
#include "tests/support/oracle.h"
#include "tests/support/storage.h"

namespace seednorm::test {

class LayerRun {
 public:
  static constexpr unsigned kAllGrads = (1u << kNumParams) - 1;

  LayerRun(const LayerCase& c, const Inputs& in) : case_(c), in_(in), norm_(c.norm, c.dim, c.options) {
    const ParamKinds kinds = kinds_of(c.norm, c.options);
    for (size_t p = 0; p < kNumParams; ++p) {
      EXPECT_EQ(norm_.kind(static_cast<Param>(p)), kinds[p]) << name_of(static_cast<Param>(p));
      if (kinds[p] != ParamKind::kAbsent) (params_[p] = param_rows(kinds[p], c.params[p])).fill(in.params[p]);
    }
  }

  void forward(bool keep_stats = true) {
    (x_ = tensor(0)).fill(in_.x);
    if (case_.residual) (residual_ = tensor(1)).fill(in_.residual);
    const bool y_over_x = case_.in_place == (case_.residual ? 2 : 1);
    y_ = y_over_x ? Rows() : tensor(2);
    sum_ = case_.residual && case_.in_place == 0 ? tensor(3) : Rows();
    stats_ = keep_stats && norm_.num_stats() > 0 ? Rows(stats_type(), case_.rows, norm_.num_stats()) : Rows();
    kBackend.forward(norm_, forward_args(), serial_executor());
  }

  // After forward. `wanted`: bit p set for the gradient of parameter p.
  void backward(unsigned wanted = kAllGrads) {
    (x_ = tensor(0)).fill(in_.normed);
    (dy_ = tensor(1)).fill(in_.dy);
    if (case_.residual) (dsum_ = tensor(2)).fill(in_.dsum);
    dx_ = case_.in_place == 0 ? tensor(3) : Rows();
    bool any = false;
    for (size_t p = 0; p < kNumParams; ++p) {
      const bool is_wanted = params_[p] && (wanted >> p & 1) != 0;
      grads_[p] = is_wanted ? param_rows(norm_.kind(static_cast<Param>(p)), case_.grads[p]) : Rows();
      any = any || is_wanted;
    }
    const int64_t words =
        (static_cast<int64_t>(kBackend.scratch_bytes(norm_, case_.rows, case_.data)) + 15) / 16 * 2;
    scratch_ = any && words > 0 ? Rows(DType::kFloat64, 1, words) : Rows();
    kBackend.backward(norm_, backward_args(), serial_executor());
  }

  // Of the latest forward and backward, for another call with some of the same buffers.
  ForwardArgs forward_args() const {
    ForwardArgs args;
    args.rows = case_.rows;
    args.x = view(x_);
    args.y = view(y());
    if (case_.residual) {
      args.residual = view(residual_);
      args.sum = view(sum());
    }
    args.stats = stats_.data();
    set_common(args);
    return args;
  }
  BackwardArgs backward_args() const {
    BackwardArgs args;
    args.rows = case_.rows;
    args.x = view(x_);
    args.dy = view(dy_);
    args.dx = view(dx());
    if (case_.residual) args.dsum = view(dsum_);
    for (size_t p = 0; p < kNumParams; ++p) {
      if (grads_[p]) args.grads[static_cast<Param>(p)] = view(grads_[p]);
    }
    args.stats = stats_.data();
    args.scratch = scratch_.data();
    set_common(args);
    return args;
  }

  // Where the results are, which may be the buffer of an input.
  const Rows& x() const { return x_; }
  const Rows& dy() const { return dy_; }
  const Rows& y() const { return y_ ? y_ : x_; }
  const Rows& sum() const { return sum_ ? sum_ : case_.in_place == 1 ? x_ : residual_; }
  const Rows& dx() const { return dx_ ? dx_ : case_.in_place == 1 ? x_ : dy_; }
  const Rows& grad(size_t p) const { return grads_[p]; }
  const Norm& norm() const { return norm_; }

  // Nothing but the results was written.
  bool intact() const {
    for (const Rows* rows : {&x_, &residual_, &y_, &sum_, &stats_, &dy_, &dsum_, &dx_, &scratch_}) {
      if (!rows->intact()) return false;
    }
    for (size_t p = 0; p < kNumParams; ++p) {
      if (!params_[p].intact() || !grads_[p].intact() || !params_[p].holds(in_.params[p])) return false;
    }
    return true;
  }

 private:
  // Each with a stride of its own, unless contiguous.
  Rows tensor(int64_t index) const {
    return {case_.data, case_.rows, case_.dim, case_.gap == 0 ? 0 : case_.gap + index, case_.place};
  }
  // Contiguous rows with their stride given or implied.
  View view(const Rows& rows) const {
    View view = rows.view();
    if (view.stride == rows.cols() && case_.implied_stride) view.stride = 0;
    return view;
  }
  DType stats_type() const { return case_.data == DType::kFloat64 ? DType::kFloat64 : DType::kFloat32; }
  Rows param_rows(ParamKind kind, DType dtype) const {
    if (kind == ParamKind::kPerSample) return {dtype, case_.samples(), case_.dim, case_.gap, case_.place};
    return {dtype, 1, kind == ParamKind::kScalar ? 1 : case_.dim, 0, case_.place};
  }
  template <class Args>
  void set_common(Args& args) const {
    for (size_t p = 0; p < kNumParams; ++p) {
      if (params_[p]) args.params[static_cast<Param>(p)] = view(params_[p]);
    }
    args.rows_per_sample = case_.norm == "ada_seed_norm" ? case_.rows_per_sample : 0;
    args.training = case_.training;
    args.seed = case_.seed;
    args.offset = case_.seed / 2;
  }

  const LayerCase& case_;
  const Inputs& in_;
  Norm norm_;
  Rows x_, residual_, y_, sum_, stats_, dy_, dsum_, dx_, scratch_;
  std::array<Rows, kNumParams> params_, grads_;
};

// The largest part of its bound that an error has reached, over a test.
inline double& tightest() {
  static double ratio = 0;
  return ratio;
}

// Every element within its bound; says which is furthest out.
inline testing::AssertionResult all_within(const Rows& actual, const std::vector<Bounded>& expected,
                                           const char* what) {
  int64_t wrong = 0, worst = 0;
  double worst_ratio = -1;
  for (int64_t i = 0; i < actual.rows() * actual.cols(); ++i) {
    const Bounded& bound = expected[static_cast<size_t>(i)];
    const double value = actual.get(i / actual.cols(), i % actual.cols());
    const double ratio = std::fabs(value - bound.value) / bound.error;
    if (!is_within(value, bound, actual.dtype())) {
      ++wrong;
      if (!(ratio <= worst_ratio)) {
        worst_ratio = ratio;
        worst = i;
      }
    } else if (size_of(actual.dtype()) > 2 && ratio < 1 && ratio > tightest()) {
      tightest() = ratio;
    }
  }
  if (wrong == 0) return testing::AssertionSuccess();
  const Bounded& bound = expected[static_cast<size_t>(worst)];
  return testing::AssertionFailure() << what << ": " << wrong << " of " << expected.size()
                                     << " wrong, worst at row " << worst / actual.cols() << " column "
                                     << worst % actual.cols() << ": "
                                     << actual.get(worst / actual.cols(), worst % actual.cols())
                                     << ", expected " << bound.value << " within " << bound.error << " ("
                                     << worst_ratio << " bounds)";
}
inline testing::AssertionResult all_within(const Rows& actual, const std::vector<Sum<Bounded>>& expected,
                                           const char* what) {
  std::vector<Bounded> totals;
  for (const Sum<Bounded>& sum : expected) totals.push_back(sum.total());
  return all_within(actual, totals, what);
}

inline void expect_forward(const LayerRun& run, const Inputs& in, const std::vector<Bounded>& expected) {
  EXPECT_TRUE(all_within(run.y(), expected, "y"));
  if (!in.residual.empty()) {
    EXPECT_TRUE(run.sum().holds(in.normed)) << "sum is not the rounded x + residual";
  }
  EXPECT_TRUE(run.intact()) << "something beside the results was written";
}

inline void expect_backward(const LayerRun& run, const Gradients<Bounded>& expected) {
  EXPECT_TRUE(all_within(run.dx(), expected.dx, "dx"));
  for (size_t p = 0; p < kNumParams; ++p) {
    if (!run.grad(p)) continue;
    EXPECT_TRUE(all_within(run.grad(p), expected.params[p], name_of(static_cast<Param>(p))));
  }
  EXPECT_TRUE(run.intact()) << "something beside the results was written";
}

// Runs `test` for every target there is, or these.
template <class Test>
void for_each_target(Test test, const std::vector<std::string>& targets = kBackend.targets()) {
  for (const std::string& target : targets) {
    SCOPED_TRACE(target);
    kBackend.set_target(target);
    test();
  }
  kBackend.set_target("");
}

// One test for every norm, each named after it.
class EachNorm : public testing::TestWithParam<std::string> {
 protected:
  const std::string& norm() const { return GetParam(); }
  void TearDown() override {
    RecordProperty("tightest", std::to_string(tightest()));
    tightest() = 0;
  }
};
#define SEEDNORM_EACH_NORM(suite, names)                         \
  INSTANTIATE_TEST_SUITE_P(All, suite, testing::ValuesIn(names), \
                           [](const auto& tested) { return tested.param; })

// Those whose rows have heads.
inline std::vector<std::string> norms_with_heads() {
  std::vector<std::string> names;
  for (const std::string& name : norm_names()) {
    if (has_heads(name)) names.push_back(name);
  }
  return names;
}

// Those with a dynamic coefficient.
inline std::vector<std::string> dynamic_norms() {
  std::vector<std::string> names;
  for (const std::string& name : norm_names()) {
    if (is_dynamic(name)) names.push_back(name);
  }
  return names;
}

}  // namespace seednorm::test

#endif  // SEEDNORM_TESTS_SUPPORT_LAYER_RUN_H_

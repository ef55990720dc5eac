// Everything that is refused at the boundary: the message names the layer, the argument, what was expected
// and what came, and nothing has been written.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "seednorm/seednorm.h"
#include "tests/core/common.h"

namespace seednorm::test {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

// What f() throws; "no error" if nothing.
std::string error_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "no error";
}

// "[layer] argument: expected ..., got ..."
testing::AssertionResult has_form(const std::string& message, const std::string& layer,
                                  const std::string& argument) {
  const std::string start = "[" + layer + "] " + argument + ": expected ";
  const bool good = message.starts_with(start) && message.find(", got ", start.size()) != std::string::npos;
  return good ? testing::AssertionSuccess()
              : testing::AssertionFailure()
                    << "expected \"" << start << "..., got ...\", is \"" << message << '"';
}

class Errors : public testing::TestWithParam<std::string> {
 protected:
  const std::string& name() const { return GetParam(); }
  testing::AssertionResult rejects(const std::string& argument, int64_t dim, const Options& options) const {
    return has_form(error_of([&] { const Norm norm(name(), dim, options); }), name(), argument);
  }
  // An option that may not be this norm's at all is refused under its name in either case.
  bool accepts(const Options& options) const {
    return error_of([&] { const Norm norm(name(), 12, options); }) == "no error";
  }
};

TEST(UnknownNorm, MessageNamesTheNearest) {
  const std::pair<const char*, const char*> cases[] = {{"seed_nrom", "seed_norm"},
                                                       {"rmsnorm", "rms_norm"},
                                                       {"LayerNorm", "layer_norm"},
                                                       {"dytt", "dyt"},
                                                       {"ada_seednorm", "ada_seed_norm"}};
  for (const auto& [given, nearest] : cases) {
    const std::string message = error_of([&] { const Norm norm(given, 8); });
    EXPECT_TRUE(has_form(message, given, "name"));
    EXPECT_NE(message.find(nearest), std::string::npos) << message;
  }
  EXPECT_NE(error_of([] { const Norm norm("", 8); }), "no error");
}

TEST_P(Errors, Width) {
  for (const int64_t dim : {int64_t{0}, int64_t{-1}, std::numeric_limits<int64_t>::min()}) {
    EXPECT_TRUE(rejects("dim", dim, {}));
  }
}

TEST_P(Errors, OptionsOutOfRange) {
  for (const double eps : {0.0, -1e-6, kNaN, kInf, -kInf}) EXPECT_TRUE(rejects("eps", 12, {.eps = eps}));
  for (const int64_t heads : {0, -1, 5, 13, 24}) EXPECT_TRUE(rejects("num_heads", 12, {.num_heads = heads}));
  for (const double p : {-0.1, 1.0, 1.5, kNaN, kInf}) EXPECT_TRUE(rejects("dropout", 12, {.dropout = p}));
  for (const int value : {-1, 7, 99}) {
    EXPECT_TRUE(rejects("sigma", 12, {.sigma = static_cast<Sigma>(value)}));
    EXPECT_TRUE(rejects("gamma", 12, {.gamma = static_cast<Form>(value)}));
    EXPECT_TRUE(rejects("alpha", 12, {.alpha = static_cast<Form>(value)}));
    EXPECT_TRUE(rejects("beta", 12, {.beta = static_cast<Form>(value)}));
  }
  EXPECT_TRUE(rejects("gamma", 12, {.gamma = Form::kElementwise}));
  EXPECT_TRUE(rejects("alpha", 12, {.alpha = Form::kPlusOne}));
  EXPECT_TRUE(rejects("beta", 12, {.beta = Form::kPlusOne}));
}

TEST_P(Errors, OptionsOfOtherNorms) {
  const std::pair<const char*, Options> cases[] = {{"eps", {.eps = 1e-3}},
                                                   {"num_heads", {.num_heads = 2}},
                                                   {"sigma", {.sigma = Sigma::kGelu}},
                                                   {"dot_scale", {.dot_scale = 0.5}},
                                                   {"dropout", {.dropout = 0.5}},
                                                   {"gamma", {.gamma = Form::kPlusOne}},
                                                   {"gamma", {.gamma = Form::kNone}},
                                                   {"alpha", {.alpha = Form::kScalar}},
                                                   {"alpha", {.alpha = Form::kNone}},
                                                   {"beta", {.beta = Form::kNone}},
                                                   {"beta", {.beta = Form::kElementwise}}};
  int refused = 0;
  for (const auto& [argument, options] : cases) {
    if (accepts(options)) continue;
    EXPECT_TRUE(rejects(argument, 12, options));
    ++refused;
  }
  EXPECT_TRUE(refused > 0 || name() == "seed_norm");
}

// A parameter that the norm does not have has no form to choose either.
TEST_P(Errors, FormsOfMissingParameters) {
  const Norm norm(name(), 12);
  const std::pair<Param, Form Options::*> all[] = {
      {Param::kGamma, &Options::gamma}, {Param::kAlpha, &Options::alpha}, {Param::kBeta, &Options::beta}};
  for (const auto& [param, field] : all) {
    if (norm.kind(param) != ParamKind::kAbsent) continue;
    for (const Form form : {Form::kScalar, Form::kNone, Form::kPlusOne, Form::kElementwise}) {
      Options options;
      options.*field = form;
      EXPECT_TRUE(rejects(name_of(param), 12, options)) << name_of(form);
    }
  }
}

TEST(OptionsOf, EachKnownNorm) {
  const auto accepts = [](const char* name, const Options& options) {
    return error_of([&] { const Norm norm(name, 12, options); }) == "no error";
  };
  for (const char* name : {"rms_norm", "layer_norm", "dyt", "derf", "dyisru", "lan", "gct", "scale_norm"}) {
    EXPECT_FALSE(accepts(name, {.num_heads = 2})) << name;
    EXPECT_FALSE(accepts(name, {.sigma = Sigma::kSilu})) << name;
    EXPECT_FALSE(accepts(name, {.dot_scale = 2})) << name;
    EXPECT_FALSE(accepts(name, {.dropout = 0.1})) << name;
  }
  for (const int64_t heads : {1, 2, 12})
    EXPECT_TRUE(accepts("group_layer_norm", {.eps = 1e-5, .num_heads = heads})) << heads;
  EXPECT_FALSE(accepts("group_layer_norm", {.num_heads = 5}));
  EXPECT_FALSE(accepts("group_layer_norm", {.dot_scale = 2}));
  for (const char* name : {"dyt", "derf", "dyisru"}) EXPECT_FALSE(accepts(name, {.eps = 1e-5})) << name;
  EXPECT_TRUE(accepts("rms_norm", {.gamma = Form::kPlusOne}));
  EXPECT_TRUE(accepts("rms_norm", {.gamma = Form::kNone}));
  EXPECT_TRUE(accepts("layer_norm", {.beta = Form::kNone}));
  EXPECT_TRUE(accepts("seed_norm", {.num_heads = 4, .dropout = 0.1, .gamma = Form::kPlusOne}));
}

// A valid call, to be spoiled.
struct Call {
  explicit Call(const std::string& name, bool fused = false, Options options = {})
      : layer(name, 12, options, DType::kFloat32, /*samples=*/2), in(6, 12, DType::kFloat32, fused) {
    in.rows_per_sample = 3;
    out = make_results(layer, in);
    forward = forward_args(layer, in, out);
    backward = backward_args(layer, in, out, scratch);
    // Backward reads these; they stay as they are.
    out.stats.fill(5, 1, 0.5);
    if (fused) out.sum.fill(6);
  }
  Call(const Call&) = delete;

  // The message of forward or backward; fails the test if an output has changed.
  std::string forward_error() {
    return checked([&] { layer.norm.forward(forward); });
  }
  std::string backward_error() {
    return checked([&] { layer.norm.backward(backward); });
  }

  Layer layer;
  Batch in;
  Results out;
  std::vector<double> scratch;
  ForwardArgs forward;
  BackwardArgs backward;

 private:
  std::string checked(const std::function<void()>& f) {
    const Results before = out;
    const Batch in_before = in;
    std::string message = error_of(f);
    if (message != "no error") {
      EXPECT_EQ(difference(before, out), "") << "written though it threw: " << message;
      EXPECT_EQ(difference("x", in_before.x, in.x), "") << "written though it threw: " << message;
    }
    return message;
  }
};

// A call spoiled by `spoil` is refused, naming `argument`.
template <class Spoil>
testing::AssertionResult forward_rejects(const std::string& name, const char* argument, Spoil spoil,
                                         bool fused = false) {
  Call call(name, fused);
  spoil(call.forward, call);
  return has_form(call.forward_error(), name, argument);
}
template <class Spoil>
testing::AssertionResult backward_rejects(const std::string& name, const char* argument, Spoil spoil,
                                          bool fused = false) {
  Call call(name, fused);
  spoil(call.backward, call);
  return has_form(call.backward_error(), name, argument);
}

TEST_P(Errors, ValidCallsPass) {
  for (const bool fused : {false, true}) {
    if (fused && !takes_residual(name())) continue;
    Call call(name(), fused);
    EXPECT_EQ(call.forward_error(), "no error");
    EXPECT_EQ(call.backward_error(), "no error");
  }
}

TEST_P(Errors, Rows) {
  const auto negative = [](auto& args, Call&) { args.rows = -1; };
  EXPECT_TRUE(forward_rejects(name(), "rows", negative));
  EXPECT_TRUE(backward_rejects(name(), "rows", negative));
}

TEST_P(Errors, MissingViews) {
  EXPECT_TRUE(forward_rejects(name(), "x", [](ForwardArgs& args, Call&) { args.x = {}; }));
  EXPECT_TRUE(forward_rejects(name(), "y", [](ForwardArgs& args, Call&) { args.y = {}; }));
  EXPECT_TRUE(backward_rejects(name(), "x", [](BackwardArgs& args, Call&) { args.x = {}; }));
  EXPECT_TRUE(backward_rejects(name(), "dy", [](BackwardArgs& args, Call&) { args.dy = {}; }));
  EXPECT_TRUE(backward_rejects(name(), "dx", [](BackwardArgs& args, Call&) { args.dx = {}; }));
}

TEST_P(Errors, DTypes) {
  for (const DType dtype : {DType::kBFloat16, DType::kFloat16, DType::kFloat64}) {
    EXPECT_TRUE(forward_rejects(name(), "y", [=](ForwardArgs& args, Call&) { args.y.dtype = dtype; }));
    EXPECT_TRUE(backward_rejects(name(), "dy", [=](BackwardArgs& args, Call&) { args.dy.dtype = dtype; }));
    EXPECT_TRUE(backward_rejects(name(), "dx", [=](BackwardArgs& args, Call&) { args.dx.dtype = dtype; }));
  }
  const auto unknown = [](auto& args, Call&) { args.x.dtype = static_cast<DType>(9); };
  EXPECT_TRUE(forward_rejects(name(), "x", unknown));
  EXPECT_TRUE(backward_rejects(name(), "x", unknown));
}

TEST_P(Errors, Strides) {
  for (const int64_t stride : {1, 11, -1, -11}) {
    EXPECT_TRUE(forward_rejects(name(), "x", [=](ForwardArgs& args, Call&) { args.x.stride = stride; }));
    EXPECT_TRUE(forward_rejects(name(), "y", [=](ForwardArgs& args, Call&) { args.y.stride = stride; }));
    EXPECT_TRUE(backward_rejects(name(), "x", [=](BackwardArgs& args, Call&) { args.x.stride = stride; }));
    EXPECT_TRUE(backward_rejects(name(), "dy", [=](BackwardArgs& args, Call&) { args.dy.stride = stride; }));
    EXPECT_TRUE(backward_rejects(name(), "dx", [=](BackwardArgs& args, Call&) { args.dx.stride = stride; }));
  }
}

TEST_P(Errors, Parameters) {
  for (int i = 0; i < kNumParams; ++i) {
    const Param param = param_at(i);
    const auto missing = [=](auto& args, Call&) { args.params[param] = {}; };
    const auto extra = [=](auto& args, Call& call) { args.params[param] = call.in.dy.view(); };
    const auto extra_grad = [=](BackwardArgs& args, Call& call) { args.grads[param] = call.in.dy.view(); };
    const auto unknown_type = [=](auto& args, Call&) { args.params[param].dtype = static_cast<DType>(9); };
    const auto wide_type = [=](auto& args, Call&) { args.params[param].dtype = DType::kFloat64; };
    const auto narrow = [=](auto& args, Call&) { args.params[param].stride = 11; };
    switch (Norm(name(), 12).kind(param)) {
      case ParamKind::kAbsent:
        EXPECT_TRUE(forward_rejects(name(), name_of(param), extra));
        EXPECT_TRUE(backward_rejects(name(), name_of(param), extra));
        EXPECT_TRUE(backward_rejects(name(), (std::string("grads.") + name_of(param)).c_str(), extra_grad));
        continue;
      case ParamKind::kPerSample:
        EXPECT_TRUE(forward_rejects(name(), name_of(param), narrow));
        EXPECT_TRUE(backward_rejects(name(), name_of(param), narrow));
        [[fallthrough]];
      default:
        EXPECT_TRUE(forward_rejects(name(), name_of(param), missing));
        EXPECT_TRUE(backward_rejects(name(), name_of(param), missing));
        EXPECT_TRUE(forward_rejects(name(), name_of(param), unknown_type));
        EXPECT_TRUE(forward_rejects(name(), name_of(param), wide_type)) << "float64 beside float32 data";
    }
  }
}

TEST_P(Errors, ParametersThatTheFormLacks) {
  for (const Options& options : option_variants(name(), 12)) {
    const Norm norm(name(), 12, options);
    for (int i = 0; i < kNumParams; ++i) {
      if (norm.kind(param_at(i)) != ParamKind::kAbsent) continue;
      SCOPED_TRACE(describe(norm));
      Call call(name(), false, options);
      call.forward.params[param_at(i)] = call.in.dy.view();
      EXPECT_TRUE(has_form(call.forward_error(), name(), name_of(param_at(i))));
    }
  }
}

TEST_P(Errors, StatsAndScratch) {
  const Norm norm(name(), 12);
  if (norm.num_stats() > 0) {
    EXPECT_TRUE(backward_rejects(name(), "stats", [](BackwardArgs& args, Call&) { args.stats = nullptr; }));
  }
  if (norm.scratch_bytes(6) == 0) return;
  EXPECT_TRUE(backward_rejects(name(), "scratch", [](BackwardArgs& args, Call&) { args.scratch = nullptr; }));
  Call call(name());  // no scratch is needed for dx alone
  call.backward.scratch = nullptr;
  call.backward.grads = {};
  EXPECT_EQ(call.backward_error(), "no error");
}

TEST_P(Errors, Samples) {
  if (!Layer(name(), 12).is_per_sample()) return;
  for (const int64_t rows : {0, -3}) {
    const auto spoil = [=](auto& args, Call&) { args.rows_per_sample = rows; };
    EXPECT_TRUE(forward_rejects(name(), "rows_per_sample", spoil));
    EXPECT_TRUE(backward_rejects(name(), "rows_per_sample", spoil));
  }
}

TEST_P(Errors, ResidualOfNormsThatHaveNone) {
  if (takes_residual(name())) return;
  EXPECT_TRUE(forward_rejects(name(), "residual", [](ForwardArgs& args, Call& call) {
    args.residual = call.in.residual.view();
    args.sum = call.out.dx.view();
  }));
  EXPECT_TRUE(backward_rejects(name(), "dsum", [](BackwardArgs& args, Call& call) {  //
    args.dsum = call.in.dsum.view();
  }));
}

TEST_P(Errors, Residual) {
  if (!takes_residual(name())) return;
  const auto rejects = [&](const char* argument, auto spoil) {
    return forward_rejects(name(), argument, spoil, /*fused=*/true);
  };
  EXPECT_TRUE(rejects("residual", [](ForwardArgs& args, Call&) { args.residual = {}; })) << "sum alone";
  EXPECT_TRUE(rejects("sum", [](ForwardArgs& args, Call&) { args.sum = {}; })) << "residual alone";
  EXPECT_TRUE(rejects("residual", [](ForwardArgs& args, Call&) { args.residual.dtype = DType::kFloat16; }));
  EXPECT_TRUE(rejects("sum", [](ForwardArgs& args, Call&) { args.sum.dtype = DType::kFloat16; }));
  EXPECT_TRUE(rejects("residual", [](ForwardArgs& args, Call&) { args.residual.stride = 5; }));
  EXPECT_TRUE(rejects("sum", [](ForwardArgs& args, Call&) { args.sum.stride = 5; }));
  const auto spoil_dsum = [&](auto spoil) { return backward_rejects(name(), "dsum", spoil, /*fused=*/true); };
  EXPECT_TRUE(spoil_dsum([](BackwardArgs& args, Call&) { args.dsum.dtype = DType::kFloat16; }));
  EXPECT_TRUE(spoil_dsum([](BackwardArgs& args, Call&) { args.dsum.stride = 5; }));
}

// `view` moved by some elements.
View moved(const Matrix& matrix, int64_t elements, int64_t stride = 0) {
  const auto* const start = static_cast<const float*>(matrix.view().data);
  return {const_cast<float*>(start) + elements, DType::kFloat32, stride};
}

TEST_P(Errors, Overlap) {
  for (const int64_t by : {1, -1, 11, 12, 24, 60}) {  // within a row, by whole rows, the last row only
    EXPECT_TRUE(forward_rejects(name(), "y", [=](ForwardArgs& a, Call& c) { a.y = moved(c.in.x, by); }))
        << by;
    EXPECT_TRUE(backward_rejects(name(), "dx", [=](BackwardArgs& a, Call& c) { a.dx = moved(c.in.x, by); }))
        << by;
    EXPECT_TRUE(backward_rejects(name(), "dx", [=](BackwardArgs& a, Call& c) { a.dx = moved(c.in.dy, by); }))
        << by;
  }
  // The same start, other strides.
  EXPECT_TRUE(forward_rejects(name(), "y", [](ForwardArgs& a, Call& c) { a.y = moved(c.in.x, 0, 13); }));
  // Nothing shared beyond the last row.
  Call call(name());
  call.forward.rows = call.backward.rows = 3;
  call.forward.y = call.backward.dx = moved(call.in.x, 36);
  EXPECT_EQ(call.forward_error(), "no error");
  EXPECT_EQ(call.backward_error(), "no error");
}

TEST_P(Errors, OverlapOfTheSum) {
  if (!takes_residual(name())) return;
  const auto rejects = [&](const char* argument, auto spoil) {
    return forward_rejects(name(), argument, spoil, /*fused=*/true);
  };
  EXPECT_TRUE(rejects("sum", [](ForwardArgs& a, Call& c) { a.sum = moved(c.in.x, 1); }));
  EXPECT_TRUE(rejects("sum", [](ForwardArgs& a, Call& c) { a.sum = moved(c.in.residual, 12); }));
  Call call(name(), /*fused=*/true);
  call.forward.sum = call.forward.y;  // both are written
  const std::string message = call.forward_error();
  EXPECT_TRUE(has_form(message, name(), "sum") || has_form(message, name(), "y")) << message;
}

// q and k in one buffer of rows [q | k]: their memory ranges overlap, their elements do not.
TEST_P(Errors, InterleavedSlicesAreAllowed) {
  Call call(name());
  Matrix wide(6, 30, DType::kFloat32);
  wide.fill(9);
  for (const int64_t column : {12, 18}) {
    call.forward.x = call.backward.x = moved(wide, 0, 30);
    call.forward.y = call.backward.dx = moved(wide, column, 30);
    EXPECT_EQ(call.forward_error(), "no error") << column;
    EXPECT_EQ(call.backward_error(), "no error") << column;
  }
  for (const int64_t column : {11, 19}) {  // 11: one column shared; 19: the last one runs into the next row
    call.forward.y = call.backward.dx = moved(wide, column, 30);
    EXPECT_TRUE(has_form(call.forward_error(), name(), "y")) << column;
    EXPECT_TRUE(has_form(call.backward_error(), name(), "dx")) << column;
  }
}

TEST_P(Errors, ZeroRows) {
  Call call(name());
  call.forward.rows = call.backward.rows = 0;
  EXPECT_EQ(call.forward_error(), "no error");
  EXPECT_TRUE(call.out.y.untouched());
  EXPECT_EQ(call.backward_error(), "no error");
  EXPECT_TRUE(call.out.dx.untouched());
  for (int i = 0; i < kNumParams; ++i) {
    if (call.layer.norm.kind(param_at(i)) == ParamKind::kPerSample) continue;  // there are no samples
    for (int64_t col = 0; col < call.out.grads[i].cols(); ++col) EXPECT_EQ(call.out.grads[i].get(0, col), 0);
  }
  // No rows, no memory.
  call.forward.x = {};
  call.forward.y = {};
  EXPECT_EQ(call.forward_error(), "no error");
}

INSTANTIATE_TEST_SUITE_P(Norms, Errors, testing::ValuesIn(norm_names()),
                         [](const auto& info) { return info.param; });

TEST(Settings, Errors) {
  for (const int threads : {0, -1}) {
    EXPECT_TRUE(has_form(error_of([=] { set_num_threads(threads); }), "set_num_threads", "num_threads"));
  }
  const std::string message = error_of([] { set_simd_target("AVX9"); });
  EXPECT_TRUE(has_form(message, "simd", "target"));
  for (const std::string& target : simd_targets()) EXPECT_NE(message.find(target), std::string::npos);
  EXPECT_EQ(simd_target(), simd_targets().front()) << "unchanged by the error";
}

TEST(Settings, EveryTargetCanBeForced) {
  for (const std::string& target : simd_targets()) {
    set_simd_target(target);
    EXPECT_EQ(simd_target(), target);
    EXPECT_GE(simd_targets().size(), 1u) << "the list does not shrink";
    EXPECT_NE(std::find(simd_targets().begin(), simd_targets().end(), target), simd_targets().end());
  }
  set_simd_target("");
  EXPECT_EQ(simd_target(), simd_targets().front());
}

}  // namespace
}  // namespace seednorm::test

// The C surface: the same results as C++, every error a status and a message.
#include "seednorm/c_api.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "seednorm/seednorm.h"
#include "tests/core/common.h"

namespace seednorm::test {
namespace {

// Owns a seednorm_norm.
class CNorm {
 public:
  explicit CNorm(const std::string& name, int64_t dim, const seednorm_options* options = nullptr) {
    EXPECT_EQ(seednorm_norm_create(name.c_str(), dim, options, &norm_), SEEDNORM_OK) << seednorm_last_error();
  }
  CNorm(const CNorm&) = delete;
  ~CNorm() { seednorm_norm_destroy(norm_); }
  operator const seednorm_norm*() const { return norm_; }  // NOLINT: stands for the pointer

 private:
  seednorm_norm* norm_ = nullptr;
};

seednorm_const_view c_view(const ConstView& v) {
  return seednorm_make_const_view(v.data, static_cast<int32_t>(v.dtype), v.stride);
}
seednorm_view c_view(const View& v) {
  return seednorm_make_view(v.data, static_cast<int32_t>(v.dtype), v.stride);
}

seednorm_forward_args c_args(const ForwardArgs& from) {
  seednorm_forward_args to = seednorm_default_forward_args();
  to.rows = from.rows;
  to.x = c_view(from.x);
  to.y = c_view(from.y);
  for (int i = 0; i < kNumParams; ++i) to.params[i] = c_view(from.params[param_at(i)]);
  to.stats = from.stats;
  to.residual = c_view(from.residual);
  to.sum = c_view(from.sum);
  to.rows_per_sample = from.rows_per_sample;
  to.training = from.training ? 1 : 0;
  to.seed = from.seed;
  to.offset = from.offset;
  return to;
}

seednorm_backward_args c_args(const BackwardArgs& from) {
  seednorm_backward_args to = seednorm_default_backward_args();
  to.rows = from.rows;
  to.x = c_view(from.x);
  to.dy = c_view(from.dy);
  to.dx = c_view(from.dx);
  to.dsum = c_view(from.dsum);
  for (int i = 0; i < kNumParams; ++i) {
    to.params[i] = c_view(from.params[param_at(i)]);
    to.grads[i] = c_view(from.grads[param_at(i)]);
  }
  to.stats = from.stats;
  to.scratch = from.scratch;
  to.rows_per_sample = from.rows_per_sample;
  to.training = from.training ? 1 : 0;
  to.seed = from.seed;
  to.offset = from.offset;
  return to;
}

seednorm_options c_options(const Options& from) {
  seednorm_options to = seednorm_default_options();
  to.eps = from.eps;
  to.num_heads = from.num_heads;
  to.dot_scale = from.dot_scale;
  to.dropout = from.dropout;
  to.sigma = static_cast<int32_t>(from.sigma);
  to.gamma = static_cast<int32_t>(from.gamma);
  to.alpha = static_cast<int32_t>(from.alpha);
  to.beta = static_cast<int32_t>(from.beta);
  return to;
}

Results run_in_c(const Layer& layer, const Batch& in, const seednorm_executor* executor) {
  const seednorm_options options = c_options(layer.norm.options());
  const CNorm norm(layer.norm.name(), layer.norm.dim(), &options);
  Results out = make_results(layer, in);
  const seednorm_forward_args forward = c_args(forward_args(layer, in, out));
  EXPECT_EQ(seednorm_norm_forward(norm, &forward, executor), SEEDNORM_OK) << seednorm_last_error();
  std::vector<double> scratch;
  const seednorm_backward_args backward = c_args(backward_args(layer, in, out, scratch));
  EXPECT_EQ(seednorm_norm_backward(norm, &backward, executor), SEEDNORM_OK) << seednorm_last_error();
  return out;
}

class CApi : public testing::TestWithParam<std::string> {};

TEST_P(CApi, SameResultsAsCpp) {
  for (const Options& options : option_variants(GetParam(), 48)) {
    const Layer layer(GetParam(), 48, options, DType::kBFloat16, /*samples=*/2);
    SCOPED_TRACE(describe(layer.norm));
    Batch in(21, 48, DType::kFloat16);
    in.rows_per_sample = 11;
    EXPECT_EQ(difference(run(layer, in), run_in_c(layer, in, nullptr)), "");
  }
}

TEST_P(CApi, FusedAddAndDropout) {
  const bool fused = takes_residual(GetParam());
  const Options options = {.dropout = takes_dropout(GetParam()) ? 0.5 : 0.0};
  if (!fused && options.dropout == 0) GTEST_SKIP() << "has neither";
  const Layer layer(GetParam(), 48, options);
  Batch in(21, 48, DType::kFloat32, fused);
  in.rows_per_sample = 21;
  in.training = true;
  in.seed = 1;
  in.offset = 2;
  EXPECT_EQ(difference(run(layer, in), run_in_c(layer, in, nullptr)), "");
}

TEST_P(CApi, QueriesAgreeWithCpp) {
  const CNorm norm(GetParam(), 48);
  const Norm expected(GetParam(), 48);
  int64_t num_stats = -1;
  EXPECT_EQ(seednorm_norm_num_stats(norm, &num_stats), SEEDNORM_OK);
  EXPECT_EQ(num_stats, expected.num_stats());
  for (const DType dtype : kDTypes) {
    size_t bytes = 1;
    EXPECT_EQ(seednorm_norm_scratch_bytes(norm, 1000, static_cast<int32_t>(dtype), &bytes), SEEDNORM_OK);
    EXPECT_EQ(bytes, expected.scratch_bytes(1000, dtype));
  }
  for (int32_t i = 0; i < kNumParams; ++i) {
    int32_t kind = -1;
    EXPECT_EQ(seednorm_norm_param_kind(norm, i, &kind), SEEDNORM_OK);
    EXPECT_EQ(kind, static_cast<int32_t>(expected.kind(param_at(i))));
    EXPECT_STREQ(seednorm_param_name(i), name_of(param_at(i)));
    if (kind == SEEDNORM_KIND_ABSENT) continue;
    double value = -1;
    EXPECT_EQ(seednorm_norm_initial_value(norm, i, &value), SEEDNORM_OK);
    EXPECT_EQ(value, expected.initial_value(param_at(i)));
  }
}

INSTANTIATE_TEST_SUITE_P(Norms, CApi, testing::ValuesIn(norm_names()),
                         [](const auto& info) { return info.param; });

TEST(CLibrary, Names) {
  const std::vector<std::string> expected = norm_names();
  const char* const* names = seednorm_norm_names();
  for (const std::string& name : expected) EXPECT_EQ(name, *names++);
  EXPECT_EQ(*names, nullptr);
  EXPECT_EQ(seednorm_param_name(-1), nullptr);
  EXPECT_EQ(seednorm_param_name(kNumParams), nullptr);
  EXPECT_STREQ(seednorm_version(), SEEDNORM_VERSION);
  EXPECT_EQ(seednorm_simd_target(), simd_target());
}

TEST(CLibrary, Threads) {
  EXPECT_EQ(seednorm_set_num_threads(3), SEEDNORM_OK);
  EXPECT_EQ(seednorm_num_threads(), 3);
  EXPECT_EQ(seednorm_set_num_threads(0), SEEDNORM_INVALID_ARGUMENT);
  EXPECT_EQ(seednorm_num_threads(), 3);
}

TEST(CLibrary, DefaultOptionsAreThoseOfCpp) {
  const seednorm_options c = seednorm_default_options();
  const seednorm_options cpp = c_options({});
  EXPECT_EQ(c.eps, cpp.eps);
  EXPECT_EQ(c.num_heads, cpp.num_heads);
  EXPECT_EQ(c.dot_scale, cpp.dot_scale);
  EXPECT_EQ(c.dropout, cpp.dropout);
  EXPECT_EQ(c.sigma, cpp.sigma);
  EXPECT_EQ(c.gamma, cpp.gamma);
  EXPECT_EQ(c.alpha, cpp.alpha);
  EXPECT_EQ(c.beta, cpp.beta);
}

// The structs have no hidden padding that a later version could not use, and their sizes are part of the ABI.
TEST(CLibrary, SizesOfStructs) {
  if (sizeof(void*) != 8) GTEST_SKIP() << "the sizes are those of 64-bit machines";
  EXPECT_EQ(sizeof(seednorm_view), 24u);
  EXPECT_EQ(sizeof(seednorm_const_view), 24u);
  EXPECT_EQ(sizeof(seednorm_options), 56u);
  EXPECT_EQ(sizeof(seednorm_forward_args), 2 * 8 + 2 * 24 + 8 * 24 + 8 + 2 * 24 + 4 * 8);
  EXPECT_EQ(sizeof(seednorm_backward_args), 2 * 8 + 4 * 24 + 16 * 24 + 6 * 8);
  EXPECT_EQ(sizeof(seednorm_executor), 32u);
}

// `status` is SEEDNORM_INVALID_ARGUMENT, and the message starts like this and has the usual form.
testing::AssertionResult invalid(seednorm_status status, const std::string& start) {
  const std::string message = seednorm_last_error();
  if (status == SEEDNORM_INVALID_ARGUMENT && message.starts_with(start + ": expected ") &&
      message.find(", got ") != std::string::npos) {
    return testing::AssertionSuccess();
  }
  return testing::AssertionFailure() << status << " \"" << message << "\" for " << start;
}

TEST(CErrors, Create) {
  seednorm_norm* norm = nullptr;
  EXPECT_TRUE(invalid(seednorm_norm_create(nullptr, 8, nullptr, &norm), "[norm] name"));
  EXPECT_TRUE(invalid(seednorm_norm_create("rms_norm", 8, nullptr, nullptr), "[rms_norm] norm"));
  EXPECT_TRUE(invalid(seednorm_norm_create("rms_nrom", 8, nullptr, &norm), "[rms_nrom] name"));
  EXPECT_TRUE(invalid(seednorm_norm_create("rms_norm", 0, nullptr, &norm), "[rms_norm] dim"));
  const auto create = [&](auto spoil) {
    seednorm_options options = seednorm_default_options();
    spoil(options);
    return seednorm_norm_create("seed_norm", 8, &options, &norm);
  };
  using O = seednorm_options;
  EXPECT_TRUE(invalid(create([](O& o) { o.eps = -1; }), "[seed_norm] eps"));
  EXPECT_TRUE(invalid(create([](O& o) { o.num_heads = 3; }), "[seed_norm] num_heads"));
  for (const int32_t value : {-1, 7, 1000}) {
    EXPECT_TRUE(invalid(create([=](O& o) { o.sigma = value; }), "[seed_norm] sigma"));
    EXPECT_TRUE(invalid(create([=](O& o) { o.gamma = value; }), "[seed_norm] gamma"));
    EXPECT_TRUE(invalid(create([=](O& o) { o.alpha = value; }), "[seed_norm] alpha"));
    EXPECT_TRUE(invalid(create([=](O& o) { o.beta = value; }), "[seed_norm] beta"));
  }
  EXPECT_TRUE(invalid(create([](O& o) { o.struct_size = 0; }), "[seed_norm] options.struct_size"));
  EXPECT_EQ(norm, nullptr) << "nothing is written";
}

TEST(CErrors, Queries) {
  const CNorm norm("rms_norm", 8);
  int64_t count = 7;
  int32_t kind = 7;
  size_t bytes = 7;
  double value = 7;
  EXPECT_TRUE(invalid(seednorm_norm_num_stats(nullptr, &count), "[norm] norm"));
  EXPECT_TRUE(invalid(seednorm_norm_num_stats(norm, nullptr), "[rms_norm] num_stats"));
  EXPECT_TRUE(invalid(seednorm_norm_scratch_bytes(norm, -1, 0, &bytes), "[rms_norm] rows"));
  EXPECT_TRUE(invalid(seednorm_norm_scratch_bytes(norm, 1, 4, &bytes), "[rms_norm] dtype"));
  EXPECT_TRUE(invalid(seednorm_norm_param_kind(norm, 6, &kind), "[rms_norm] param"));
  EXPECT_TRUE(invalid(seednorm_norm_initial_value(norm, -1, &value), "[rms_norm] param"));
  EXPECT_TRUE(count == 7 && kind == 7 && bytes == 7 && value == 7) << "nothing is written";
}

class CCallErrors : public testing::Test {
 protected:
  CCallErrors() {
    out_ = make_results(layer_, in_);
    forward_ = c_args(forward_args(layer_, in_, out_));
    backward_ = c_args(backward_args(layer_, in_, out_, scratch_));
  }
  ~CCallErrors() override {
    EXPECT_TRUE(out_.y.untouched() && out_.dx.untouched() && out_.stats.untouched());
  }

  template <class Spoil>
  seednorm_status forward(Spoil spoil) {
    seednorm_forward_args args = forward_;
    spoil(args);
    return seednorm_norm_forward(norm_, &args, nullptr);
  }
  template <class Spoil>
  seednorm_status backward(Spoil spoil) {
    seednorm_backward_args args = backward_;
    spoil(args);
    return seednorm_norm_backward(norm_, &args, nullptr);
  }

  Layer layer_{"seed_norm", 8};
  Batch in_{3, 8, DType::kFloat32};
  CNorm norm_{"seed_norm", 8};
  Results out_;
  std::vector<double> scratch_;
  seednorm_forward_args forward_;
  seednorm_backward_args backward_;
};

TEST_F(CCallErrors, Arguments) {
  using F = seednorm_forward_args;
  using B = seednorm_backward_args;
  EXPECT_TRUE(invalid(seednorm_norm_forward(nullptr, &forward_, nullptr), "[norm] norm"));
  EXPECT_TRUE(invalid(seednorm_norm_forward(norm_, nullptr, nullptr), "[seed_norm] args"));
  EXPECT_TRUE(invalid(seednorm_norm_backward(norm_, nullptr, nullptr), "[seed_norm] args"));
  EXPECT_TRUE(invalid(forward([](F& a) { a.rows = -1; }), "[seed_norm] rows"));
  EXPECT_TRUE(invalid(forward([](F& a) { a.x.data = nullptr; }), "[seed_norm] x"));
  EXPECT_TRUE(invalid(forward([](F& a) { a.x.dtype = 4; }), "[seed_norm] x.dtype"));
  EXPECT_TRUE(invalid(forward([](F& a) { a.x.reserved = 1; }), "[seed_norm] x.reserved"));
  EXPECT_TRUE(invalid(forward([](F& a) { a.params[0].dtype = -1; }), "[seed_norm] gamma.dtype"));
  EXPECT_TRUE(invalid(forward([](F& a) { a.params[1].data = nullptr; }), "[seed_norm] alpha"));
  EXPECT_TRUE(invalid(forward([](F& a) { a.params[6] = a.params[0]; }), "[seed_norm] params"));
  EXPECT_TRUE(invalid(forward([](F& a) { a.reserved = 1; }), "[seed_norm] args.reserved"));
  EXPECT_TRUE(invalid(backward([](B& a) { a.dy.data = nullptr; }), "[seed_norm] dy"));
  EXPECT_TRUE(invalid(backward([](B& a) { a.stats = nullptr; }), "[seed_norm] stats"));
  EXPECT_TRUE(invalid(backward([](B& a) { a.grads[0].dtype = 8; }), "[seed_norm] grads.gamma.dtype"));
  EXPECT_TRUE(invalid(backward([](B& a) { a.grads[7] = a.grads[0]; }), "[seed_norm] grads"));
}

TEST_F(CCallErrors, StructsOfOtherVersions) {
  struct Longer {
    seednorm_forward_args args;
    int64_t field_of_a_later_version;
  } later = {forward_, 0};
  later.args.struct_size = sizeof(later);
  later.args.rows = 0;
  EXPECT_EQ(seednorm_norm_forward(norm_, &later.args, nullptr), SEEDNORM_OK) << seednorm_last_error();
  later.field_of_a_later_version = 1;
  EXPECT_TRUE(invalid(seednorm_norm_forward(norm_, &later.args, nullptr), "[seed_norm] args"));
  EXPECT_TRUE(invalid(forward([](auto& a) { a.struct_size = 0; }), "[seed_norm] args.struct_size"));
  EXPECT_TRUE(invalid(forward([](auto& a) { a.struct_size -= 8; }), "[seed_norm] args.struct_size"));
  EXPECT_TRUE(invalid(backward([](auto& a) { a.struct_size = 8; }), "[seed_norm] args.struct_size"));
}

void run_serially(void* self, int64_t num_tasks, void (*task)(void* arg, int64_t i), void* arg) {
  ++*static_cast<int*>(self);
  for (int64_t i = 0; i < num_tasks; ++i) task(arg, i);
}

TEST_F(CCallErrors, Executor) {
  const auto with = [&](auto spoil) {
    seednorm_executor executor = seednorm_make_executor(run_serially, nullptr, 2);
    spoil(executor);
    return seednorm_norm_forward(norm_, &forward_, &executor);
  };
  using E = seednorm_executor;
  EXPECT_TRUE(invalid(with([](E& e) { e.run = nullptr; }), "[seed_norm] executor.run"));
  EXPECT_TRUE(invalid(with([](E& e) { e.num_threads = 0; }), "[seed_norm] executor.num_threads"));
  EXPECT_TRUE(invalid(with([](E& e) { e.struct_size = 1; }), "[seed_norm] executor.struct_size"));
  EXPECT_TRUE(invalid(with([](E& e) { e.reserved = 1; }), "[seed_norm] executor.reserved"));
}

TEST(CExecutor, IsUsed) {
  const Layer layer("seed_norm", 256);
  const Batch in(500, 256, DType::kFloat32);
  int calls = 0;
  const seednorm_executor executor = seednorm_make_executor(run_serially, &calls, 4);
  EXPECT_EQ(difference(run(layer, in), run_in_c(layer, in, &executor)), "");
  EXPECT_GT(calls, 0);
}

// Whatever an executor written in C++ throws.
template <class Exception>
void throws(void* /*self*/, int64_t, void (*)(void*, int64_t), void*) {
  throw Exception("from the executor");
}
struct Unknown {
  explicit Unknown(const char*) {}
};

TEST(CExecutor, ExceptionsDoNotCross) {
  const Layer layer("seed_norm", 256);
  const Batch in(500, 256, DType::kFloat32);
  Results out = make_results(layer, in);
  const CNorm norm("seed_norm", 256);
  const seednorm_forward_args args = c_args(forward_args(layer, in, out));
  seednorm_executor executor = seednorm_make_executor(throws<std::runtime_error>, nullptr, 4);
  EXPECT_EQ(seednorm_norm_forward(norm, &args, &executor), SEEDNORM_INTERNAL);
  EXPECT_STREQ(seednorm_last_error(), "from the executor");
  executor.run = throws<Unknown>;
  EXPECT_EQ(seednorm_norm_forward(norm, &args, &executor), SEEDNORM_INTERNAL);
  EXPECT_STRNE(seednorm_last_error(), "");
}

TEST(CErrors, MessageBelongsToItsThread) {
  seednorm_norm* norm = nullptr;
  EXPECT_EQ(seednorm_norm_create("rms_norm", 0, nullptr, &norm), SEEDNORM_INVALID_ARGUMENT);
  const std::string mine = seednorm_last_error();
  std::thread([&] {
    EXPECT_STREQ(seednorm_last_error(), "");
    EXPECT_EQ(seednorm_norm_create("layer_norm", 0, nullptr, &norm), SEEDNORM_INVALID_ARGUMENT);
    EXPECT_NE(seednorm_last_error(), mine);
  }).join();
  EXPECT_EQ(seednorm_last_error(), mine);
  seednorm_norm_destroy(nullptr);
}

}  // namespace
}  // namespace seednorm::test

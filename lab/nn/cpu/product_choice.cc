#include "lab/nn/cpu/product_choice.h"

#include <ATen/Context.h>
#include <ATen/Functions.h>
#include <ATen/cpu/Utils.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <limits>
#include <stdexcept>
#include <string_view>

#include "lab/base/error.h"
#include "lab/base/split_list.h"
#include "lab/nn/cpu/multiply.h"

namespace seednorm::lab {
namespace {

using at::Tensor;

constexpr const char* kKinds[kNumProductKinds] = {"forward", "input_gradient", "weight_gradient"};
constexpr const char* kLibraries[] = {"mkl", "onednn"};

ProductChoice& current() {
  static ProductChoice choice = default_product_choice();
  return choice;
}

Library library_of(std::string_view item, std::string_view value) {
  if (value == "mkl") return Library::kMkl;
  if (value == "onednn") return Library::kOneDnn;
  throw std::invalid_argument("products: " + std::string(item) + ": expected mkl or onednn, got " +
                              quote(value));
}

void parse_item(std::string_view item, ProductChoice& out) {
  const size_t equals = item.find('=');
  const std::string_view key = item.substr(0, equals);
  const std::string_view value = equals == std::string_view::npos ? "" : item.substr(equals + 1);
  if (key == "bfloat16") {
    if (value != "widened" && value != "onednn") {
      throw std::invalid_argument("products: bfloat16: expected widened or onednn, got " + quote(value));
    }
    out.widen_bfloat16 = value == "widened";
    return;
  }
  bool known = false;
  for (size_t i = 0; i < kNumProductKinds; ++i) {
    if (key != kKinds[i] && key != "float32") continue;
    out.float32[i] = library_of(key, value);
    known = true;
  }
  if (!known) {
    throw std::invalid_argument(
        "products: expected forward, input_gradient, weight_gradient, float32 or bfloat16 with a library, as "
        "float32=mkl, "
        "got " +
        quote(item));
  }
}

// A tile of a product: out [n, n] = a [n, k] b [k, n], laid out as in a layer.
struct Operands {
  Tensor out, a, b;
  Operands(ProductKind kind, at::ScalarType dtype) {
    constexpr int64_t kSize = 512, kDepth = 256;
    const bool turned = kind == ProductKind::kWeightGradient;
    a = turned ? at::ones({kDepth, kSize}, dtype).t() : at::ones({kSize, kDepth}, dtype);
    b = kind == ProductKind::kForward ? at::ones({kSize, kDepth}, dtype).t()
                                      : at::ones({kDepth, kSize}, dtype);
    out = at::empty({kSize, kSize}, dtype);
  }
};

// The least of a few times, after a call that brings in code and memory and is not measured: oneDNN compiles
// a kernel in it. Work that is `hopeless` after the first measurement is not repeated.
double seconds_of(const std::function<void()>& work,
                  double hopeless = std::numeric_limits<double>::infinity()) {
  using Clock = std::chrono::steady_clock;
  constexpr int kTimes = 5;
  work();
  double best = std::numeric_limits<double>::infinity();
  for (int i = 0; i < kTimes; ++i) {
    const Clock::time_point begin = Clock::now();
    work();
    best = std::min(best, std::chrono::duration<double>(Clock::now() - begin).count());
    if (best > hopeless) break;
  }
  return best;
}

}  // namespace

std::string ProductChoice::text() const {
  std::string out;
  for (size_t i = 0; i < kNumProductKinds; ++i) {
    out += std::string(kKinds[i]) + "=" + kLibraries[static_cast<size_t>(float32[i])] + ",";
  }
  return out + "bfloat16=" + (widen_bfloat16 ? "widened" : "onednn");
}

ProductChoice ProductChoice::parse(const std::string& text) {
  ProductChoice out = default_product_choice();
  for (const std::string& item : split_list(text)) parse_item(item, out);
  return out;
}

ProductChoice default_product_choice() {
  const auto has = at::cpu::get_cpu_capabilities();
  const auto units = has.find("amx_bf16");  // not there on other architectures, which nothing is known of
  return {.float32 = {}, .widen_bfloat16 = units != has.end() && !units->second.toBool()};
}

ProductChoice measure_product_choice() {
  constexpr double kClearly = 0.9, kHopeless = 4;
  const at::AutoDispatchBelowADInplaceOrView no_graph;
  const OneThread alone;
  // float32 starts at kMkl.
  ProductChoice out = default_product_choice();
  double wide = 0, half = 0;
  for (size_t i = 0; i < kNumProductKinds; ++i) {
    const auto kind = static_cast<ProductKind>(i);
    const Operands single(kind, at::kFloat), rounded(kind, at::kBFloat16);
    const double mkl = seconds_of([&] { multiply_by(Library::kMkl, single.out, single.a, single.b); });
    if (at::hasMKLDNN()) {
      const double onednn =
          seconds_of([&] { multiply_by(Library::kOneDnn, single.out, single.a, single.b); });
      if (onednn < kClearly * mkl) out.float32[i] = Library::kOneDnn;
    }
    const Library best = out.float32[i];
    // What is converted of a product: an activation that is read, and the result.
    const double widened = seconds_of([&] {
      single.a.copy_(rounded.a);
      multiply_by(best, single.out, single.a, single.b);
      rounded.out.copy_(single.out);
    });
    wide += widened;
    half += seconds_of([&] { multiply_by(Library::kOneDnn, rounded.out, rounded.a, rounded.b); },
                       kHopeless * widened);
  }
  if (wide < kClearly * half) out.widen_bfloat16 = true;
  if (half < kClearly * wide) out.widen_bfloat16 = false;
  return out;
}

const ProductChoice& product_choice() { return current(); }
void set_product_choice(const ProductChoice& choice) { current() = choice; }

}  // namespace seednorm::lab

#include "lab/nn/norm_spec.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <stdexcept>
#include <vector>

#include "lab/base/error.h"

namespace seednorm::lab {
namespace {

[[noreturn]] void fail(std::string_view text, const std::string& why) {
  throw std::invalid_argument("norm " + quote(text, 200) + ": " + why);
}

std::string_view trimmed(std::string_view s) {
  const size_t begin = s.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return s.substr(begin, s.find_last_not_of(" \t") - begin + 1);
}

// The shortest text that is read back as the same number.
std::string text_of(double value) {
  std::array<char, 32> buffer;
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value).ptr;
  return {buffer.data(), end};
}

template <class T>
T number(std::string_view spec, std::string_view key, std::string_view value) {
  T out{};
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), out);
  if (error != std::errc() || end != value.data() + value.size()) {
    fail(spec, std::string(key) + ": expected a number, got " + quote(value));
  }
  return out;
}

// The enumerator of this name among the first `count`.
template <class E>
E choice(std::string_view spec, std::string_view key, std::string_view value, int count) {
  std::string all;
  for (int i = 0; i < count; ++i) {
    const std::string name = name_of(static_cast<E>(i));
    if (value == name) return static_cast<E>(i);
    all += (i == 0 ? "" : ", ") + name;
  }
  fail(spec, std::string(key) + ": expected one of " + all + ", got " + quote(value));
}

// Of lab/vision/nn/batch_statistics.h.
constexpr std::array kOverBatches = {"batch_norm", "switchable_norm"};

constexpr int64_t kMaxGateRank = 65536;

constexpr std::array kSettings = {"num_heads",  "eps",   "sigma", "dot_scale", "dropout",
                                  "alpha_init", "gamma", "alpha", "beta",      "gate_rank"};

// More than any width; a layer that is checked with this width is one that the core accepts.
constexpr int64_t kMostHeads = int64_t{1} << 40;

void set(NormSpec& out, std::string_view spec, std::string_view key, std::string_view value) {
  Options& o = out.options;
  if (key == "num_heads") {
    o.num_heads = number<int64_t>(spec, key, value);
    if (o.num_heads > kMostHeads)
      fail(spec, "num_heads: expected a divisor of the width, got " + std::string(value));
  } else if (key == "eps") {
    o.eps = number<double>(spec, key, value);
  } else if (key == "sigma") {
    o.sigma = choice<Sigma>(spec, key, value, kNumSigmas);
  } else if (key == "dot_scale") {
    using Divisor = NormSpec::Divisor;
    out.divisor = value == "1/d" ? Divisor::kHeadWidth : value == "1/D" ? Divisor::kWidth : Divisor::kOne;
    o.dot_scale = out.divisor == Divisor::kOne ? number<double>(spec, key, value) : Options().dot_scale;
  } else if (key == "dropout") {
    o.dropout = number<double>(spec, key, value);
  } else if (key == "alpha_init") {
    out.alpha_init = number<double>(spec, key, value);
  } else if (key == "gamma") {
    o.gamma = choice<Form>(spec, key, value, kNumForms);
  } else if (key == "alpha") {
    o.alpha = choice<Form>(spec, key, value, kNumForms);
  } else if (key == "beta") {
    o.beta = choice<Form>(spec, key, value, kNumForms);
  } else if (key == "gate_rank") {
    out.gate_rank = number<int64_t>(spec, key, value);
    if (out.gate_rank < 0 || out.gate_rank > kMaxGateRank)
      fail(spec, "gate_rank: expected 0 to " + std::to_string(kMaxGateRank));
  } else {
    std::string all;
    for (const char* name : kSettings) all += (all.empty() ? "" : ", ") + std::string(name);
    fail(spec, "no setting " + quote(key) + "; there are " + all);
  }
}

}  // namespace

NormSpec NormSpec::parse(std::string_view text) {
  // What is no name is repeated in messages, which are one line.
  if (std::any_of(text.begin(), text.end(), [](unsigned char c) { return c < ' ' && c != '\t'; })) {
    fail(text, "expected a norm's name, and its settings in brackets, on one line");
  }
  NormSpec out;
  const std::string_view spec = trimmed(text);
  const size_t open = spec.find('(');
  out.name = std::string(trimmed(spec.substr(0, open)));
  if (open != std::string_view::npos) {
    if (spec.back() != ')') fail(text, "expected \")\" at the end");
    std::string_view rest = spec.substr(open + 1, spec.size() - open - 2);
    while (!trimmed(rest).empty()) {
      const size_t comma = std::min(rest.find(','), rest.size());
      const std::string_view pair = rest.substr(0, comma);
      const size_t equals = pair.find('=');
      if (equals == std::string_view::npos) {
        fail(text, "expected setting=value, got " + quote(trimmed(pair)));
      }
      set(out, text, trimmed(pair.substr(0, equals)), trimmed(pair.substr(equals + 1)));
      rest = rest.substr(std::min(comma + 1, rest.size()));
    }
  }
  if (out.needs_batch()) {
    const double eps = out.options.eps;
    if (!(eps > 0 && eps <= 1)) fail(text, "eps: expected more than 0, at most 1");
    NormSpec known;
    known.name = out.name;
    known.options.eps = eps;
    if (out.text() != known.text()) fail(text, out.name + " has the setting eps only");
    return out;
  }
  const int64_t width = std::max<int64_t>(out.options.num_heads, 1);
  const seednorm::Norm layer(out.name, width, out.options);  // throws for what the layer itself refuses
  if (out.alpha_init && layer.kind(Param::kAlpha) == ParamKind::kAbsent)
    fail(text, "alpha_init: it has no alpha");
  // At alpha = beta = 0 the gradients of both are 0 (Section 3.1).
  const bool has_beta =
      layer.kind(Param::kBeta) != ParamKind::kAbsent && layer.role(Param::kBeta) == ParamRole::kDynamic;
  if (out.alpha_init == 0.0 && has_beta)
    fail(text, "alpha_init: 0 beside beta, which starts at 0, would never learn; expected another number");
  return out;
}

bool NormSpec::needs_batch() const {
  return std::find(kOverBatches.begin(), kOverBatches.end(), name) != kOverBatches.end();
}

seednorm::Norm NormSpec::layer(int64_t dim) const {
  if (needs_batch()) {
    throw std::invalid_argument(
        "[" + name +
        "] norm: normalizes a channel over the pictures of a batch; only ConvNeXt has sites for it");
  }
  Options own = options;
  const int64_t heads = divisor == Divisor::kHeadWidth ? std::max<int64_t>(own.num_heads, 1) : 1;
  if (divisor != Divisor::kOne) own.dot_scale /= static_cast<double>(std::max<int64_t>(dim / heads, 1));
  return {name, dim, own};
}

NormSpec NormSpec::with_eps(double eps) const {
  NormSpec out = *this;
  const bool has_eps = needs_batch() || norm_info(name).has_eps;
  if (options.eps == Options().eps && has_eps) out.options.eps = eps;
  return out;
}

std::string NormSpec::text() const {
  const Options defaults;
  std::string inner;
  const auto add = [&](const char* key, const std::string& value) {
    inner += (inner.empty() ? "" : ", ") + std::string(key) + "=" + value;
  };
  if (options.num_heads != defaults.num_heads) add("num_heads", std::to_string(options.num_heads));
  if (options.eps != defaults.eps) add("eps", text_of(options.eps));
  if (options.sigma != defaults.sigma) add("sigma", name_of(options.sigma));
  if (divisor != Divisor::kOne) {
    add("dot_scale", divisor == Divisor::kHeadWidth ? "1/d" : "1/D");
  } else if (options.dot_scale != defaults.dot_scale) {
    add("dot_scale", text_of(options.dot_scale));
  }
  if (options.dropout != defaults.dropout) add("dropout", text_of(options.dropout));
  if (alpha_init) add("alpha_init", text_of(*alpha_init));
  if (options.gamma != defaults.gamma) add("gamma", name_of(options.gamma));
  if (options.alpha != defaults.alpha) add("alpha", name_of(options.alpha));
  if (options.beta != defaults.beta) add("beta", name_of(options.beta));
  if (gate_rank != 0) add("gate_rank", std::to_string(gate_rank));
  return inner.empty() ? name : name + "(" + inner + ")";
}

}  // namespace seednorm::lab

// A layer, its inputs and how they lie in memory: one case of a numeric test.
#ifndef SEEDNORM_TESTS_SUPPORT_LAYER_CASE_H_
#define SEEDNORM_TESTS_SUPPORT_LAYER_CASE_H_

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <random>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "seednorm/norm.h"
#include "seednorm/philox.h"
#include "tests/support/formulas.h"
#include "tests/support/storage.h"

namespace seednorm::test {

constexpr DType kDataTypes[] = {DType::kFloat32, DType::kBFloat16, DType::kFloat16, DType::kFloat64};

using ParamTypes = std::array<DType, kNumParams>;
constexpr ParamTypes all_params(DType dtype) { return {dtype, dtype, dtype, dtype, dtype, dtype}; }

struct LayerCase {
  std::string norm;
  int64_t dim = 0;
  int64_t rows = 0;
  Options options = {};
  DType data = DType::kFloat32;
  ParamTypes params = all_params(DType::kFloat32);
  ParamTypes grads = all_params(DType::kFloat32);
  int64_t gap = 0;              // between rows, in elements
  bool implied_stride = false;  // of contiguous rows
  bool keep_stats = true;
  Place place = Place::kAligned;
  bool residual = false;        // forward adds one, backward gets dsum
  int in_place = 0;             // 1, 2: outputs written over the first or second input that may be
  int64_t rows_per_sample = 1;  // ada_seed_norm
  bool training = false;
  uint64_t seed = 0;           // of the inputs and of dropout
  double scale = 1, mean = 0;  // of x

  int64_t samples() const { return (rows + rows_per_sample - 1) / rows_per_sample; }
  bool has_dropout() const { return training && options.dropout > 0; }
};

inline std::ostream& operator<<(std::ostream& out, const LayerCase& c) {
  constexpr const char* kTypes[] = {"f32", "bf16", "f16", "f64"};
  const auto list = [&](const char* what, const ParamTypes& types) {
    out << what;
    for (const DType type : types) out << ' ' << kTypes[static_cast<int>(type)];
  };
  const Options& o = c.options;
  out << c.norm << " dim " << c.dim << " rows " << c.rows << " heads " << o.num_heads << " sigma "
      << static_cast<int>(o.sigma) << " forms " << static_cast<int>(o.gamma) << static_cast<int>(o.alpha)
      << static_cast<int>(o.beta) << " eps " << o.eps << " dot_scale " << o.dot_scale << " dropout "
      << o.dropout << (c.training ? " training" : "") << " data " << kTypes[static_cast<int>(c.data)];
  list(" params", c.params);
  list(" grads", c.grads);
  return out << " gap " << c.gap << " place " << static_cast<int>(c.place) << (c.residual ? " residual" : "")
             << " in_place " << c.in_place << " rows_per_sample " << c.rows_per_sample << " seed " << c.seed;
}
inline std::string describe(const LayerCase& c) {
  std::ostringstream out;
  out << c;
  return out.str();
}

inline bool is_dynamic(std::string_view norm) { return norm_info(norm).has_sigma; }
inline bool has_heads(std::string_view norm) { return norm_info(norm).has_heads; }
inline bool has_residual(std::string_view norm) { return norm_info(norm).has_residual_add; }

constexpr Sigma kSigmas[] = {Sigma::kTanh, Sigma::kSigmoid, Sigma::kHardtanh, Sigma::kSoftsign,
                             Sigma::kGelu, Sigma::kSilu,    Sigma::kIdentity};

// Every combination of parameter forms that the norm has.
inline std::vector<Options> all_forms(const std::string& norm) {
  const auto forms_of = [&](Param param) {
    const NormParamInfo* const own = norm_info(norm).find(param);
    std::vector<Form> forms;
    for (int f = 0; f < kNumForms; ++f) {
      const auto form = static_cast<Form>(f);
      if (own == nullptr ? form == Form::kVector : own->forms.contains(form)) forms.push_back(form);
    }
    return forms;
  };
  const auto gammas = forms_of(Param::kGamma), alphas = forms_of(Param::kAlpha),
             betas = forms_of(Param::kBeta);
  std::vector<Options> all;
  for (const Form gamma : gammas) {
    for (const Form alpha : alphas) {
      for (const Form beta : betas) all.push_back({.gamma = gamma, .alpha = alpha, .beta = beta});
    }
  }
  return all;
}

// A case with everything but the norm, the width and the type of the data drawn at random.
inline LayerCase random_case(const std::string& norm, int64_t dim, DType data, uint64_t seed) {
  std::mt19937_64 bits(seed);
  const auto one_of = [&](const auto& list) { return list[bits() % std::size(list)]; };
  const auto types = [&] {
    constexpr DType kTypes[] = {DType::kFloat32, DType::kBFloat16, DType::kFloat16};
    ParamTypes result;
    for (DType& type : result) type = data == DType::kFloat64 ? data : one_of(kTypes);
    return result;
  };
  constexpr int64_t kRows[] = {1, 2, 3, 4, 5, 7, 8, 9, 13}, kFewRows[] = {1, 2, 3, 5};
  LayerCase c{.norm = norm, .dim = dim, .options = one_of(all_forms(norm)), .data = data, .seed = seed};
  c.rows = dim > 10000 ? 1 : dim > 200 ? one_of(kFewRows) : one_of(kRows);
  c.params = types();
  c.grads = types();
  c.gap = one_of(std::array{0, 0, 1, 3, 64});
  c.place = one_of(std::array{Place::kAligned, Place::kOneOff, Place::kEndOfMemory});
  c.implied_stride = one_of(std::array{false, true});
  c.keep_stats = one_of(std::array{false, true});
  c.mean = one_of(std::array{0, 4});
  c.residual = has_residual(norm) && one_of(std::array{false, true});
  c.in_place = one_of(std::array{0, 1, 2});
  c.rows_per_sample = one_of(std::array{1, 2, 3, 100});
  if (norm_info(norm).has_eps) c.options.eps = one_of(std::array{1e-6, 1e-5, 1e-2});
  std::vector<int64_t> divisors;
  for (int64_t h = 1; h <= std::min<int64_t>(dim, 64); ++h) {
    if (dim % h == 0) divisors.push_back(h);
  }
  if (!is_dynamic(norm)) {
    if (has_heads(norm)) c.options.num_heads = one_of(divisors);
    return c;
  }
  c.options.sigma = one_of(kSigmas);
  if (c.options.beta == Form::kVector) c.options.num_heads = one_of(divisors);
  c.options.dot_scale =
      one_of(std::array{1.0, 0.5, static_cast<double>(c.options.num_heads) / static_cast<double>(dim)});
  c.options.dropout = one_of(std::array{0.0, 0.1, 0.5});
  c.training = one_of(std::array{false, true});
  return c;
}

// What goes in, row after row, as numbers that the types of the case can hold.
struct Inputs {
  std::vector<double> x, residual, dy, dsum;
  std::vector<double> normed;  // x, or x + residual as it is stored
  std::array<std::vector<double>, kNumParams> params;
  std::vector<double>& param(Param p) { return params[static_cast<size_t>(p)]; }
};

// Typical size of a parameter and of its deviations: no term of a formula is negligible.
inline std::array<double, 2> param_scale(const LayerCase& c, Param param) {
  const Norm norm(c.norm, c.dim, c.options);
  if (norm.kind(param) == ParamKind::kAbsent) return {0, 0};
  const int64_t columns = c.dim / c.options.num_heads;  // of a head
  const auto head_width = static_cast<double>(columns);
  const double start = norm.initial_value(param);
  switch (norm.role(param)) {
    case ParamRole::kGain:
      return {start, norm.kind(param) == ParamKind::kScalar ? 0.1 : 0.3};
    case ParamRole::kSlope:
      return {start, 0.1};
    case ParamRole::kDynamic:
      if (param == Param::kAlpha) return {start, 0.5};
      if (c.options.beta == Form::kElementwise) return {0, 1};
      return {0, 1.5 / std::sqrt(head_width) / c.options.dot_scale};
    case ParamRole::kOffset:
      return {0, norm.kind(param) == ParamKind::kScalar ? 0.5 : 1};
    case ParamRole::kCondition:
      return {0, 0.5};
  }
  return {0, 0};
}

inline Inputs make_inputs(const LayerCase& c) {
  std::mt19937_64 bits(c.seed * 0x9E3779B97F4A7C15 + 1);
  std::normal_distribution<double> normal;
  const auto draw = [&](int64_t count, double offset, double deviation, DType dtype) {
    std::vector<double> v(static_cast<size_t>(count));
    for (double& element : v) element = round_to(dtype, offset + deviation * normal(bits));
    return v;
  };
  Inputs in;
  const int64_t size = c.rows * c.dim;
  in.x = draw(size, c.mean, c.scale, c.data);
  // The last element of a row carries 1/17 of its squares, whatever the width: losing it shows.
  for (int64_t i = c.dim - 1; i < size && c.dim > 16; i += c.dim) {
    double& last = in.x[static_cast<size_t>(i)];
    last = round_to(c.data, last * std::sqrt(static_cast<double>(c.dim)) / 4);
  }
  in.dy = draw(size, 0.5, 1, c.data);
  in.normed = in.x;
  if (c.residual) {
    in.residual = draw(size, 0, c.scale, c.data);
    in.dsum = draw(size, 0, 1, c.data);
    for (size_t i = 0; i < in.x.size(); ++i) in.normed[i] = round_to(c.data, in.x[i] + in.residual[i]);
  }
  const ParamKinds kinds = kinds_of(c.norm, c.options);
  for (size_t p = 0; p < kNumParams; ++p) {
    const ParamKind kind = kinds[p];
    const int64_t rows = kind == ParamKind::kPerSample ? c.samples() : kind == ParamKind::kAbsent ? 0 : 1;
    const auto [offset, deviation] = param_scale(c, static_cast<Param>(p));
    in.params[p] = draw(rows * (kind == ParamKind::kScalar ? 1 : c.dim), offset, deviation, c.params[p]);
  }
  return in;
}

// Inputs of row r of a formula; `make` turns a number into an S.
template <class S, class Make>
Row<S> row_of(const LayerCase& c, const Inputs& in, int64_t r, Make make) {
  const auto convert = [&](const std::vector<double>& v, int64_t begin, size_t count) {
    std::vector<S> result;
    for (size_t i = 0; i < count; ++i) result.push_back(make(v[static_cast<size_t>(begin) + i]));
    return result;
  };
  const size_t dim = static_cast<size_t>(c.dim);
  Row<S> row;
  row.x = convert(in.normed, r * c.dim, dim);
  const ParamKinds kinds = kinds_of(c.norm, c.options);
  for (size_t p = 0; p < kNumParams; ++p) {
    const bool per_sample = kinds[p] == ParamKind::kPerSample;
    row[static_cast<Param>(p)] = convert(in.params[p], per_sample ? r / c.rows_per_sample * c.dim : 0,
                                         per_sample ? dim : in.params[p].size());
  }
  for (int64_t i = 0; c.has_dropout() && i < c.dim; ++i) {
    const bool drop = dropout_bits(c.seed, c.seed / 2, static_cast<uint64_t>(r), static_cast<uint64_t>(i)) <
                      dropout_threshold(c.options.dropout);
    row.keep.push_back(drop ? 0 : 1 / (1 - c.options.dropout));
  }
  return row;
}
template <class S>
Row<S> row_of(const LayerCase& c, const Inputs& in, int64_t r) {
  return row_of<S>(c, in, r, [](double v) { return S(v); });
}

}  // namespace seednorm::test

#endif  // SEEDNORM_TESTS_SUPPORT_LAYER_CASE_H_

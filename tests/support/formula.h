// What the formulas of the norms are written with. A formula is a norm's equation in the paper for one row,
// as a template over the number type: double gives values, Bounded tolerances, Var gradients.
#ifndef SEEDNORM_TESTS_SUPPORT_FORMULA_H_
#define SEEDNORM_TESTS_SUPPORT_FORMULA_H_

#include <array>
#include <cstddef>
#include <vector>

#include "seednorm/norm.h"
#include "tests/support/numbers.h"

namespace seednorm::test {

// The inputs of one row. Parameters that the layer does not have are empty, scalars have one element.
template <class S>
struct Row : ParamSet<std::vector<S>> {
  std::vector<S> x;
  std::vector<double> keep;  // dropout's factor of each column, 0 or 1 / (1 - p); empty without dropout
};

using ParamKinds = std::array<ParamKind, kNumParams>;  // indexed by Param

// Kind of a parameter given in this form.
constexpr ParamKind kind_of(Form form) {
  return form == Form::kNone     ? ParamKind::kAbsent
         : form == Form::kScalar ? ParamKind::kScalar
                                 : ParamKind::kVector;
}

// Element of column i of a parameter that may be a scalar, or absent and then stand for a constant.
template <class S>
S at(const std::vector<S>& param, size_t i, double if_absent) {
  return param.empty() ? S(if_absent) : param.size() == 1 ? param[0] : param[i];
}

template <class S>
S mean(const std::vector<S>& v) {
  return sum(v) / static_cast<double>(v.size());
}

template <class S>
std::vector<S> squares(const std::vector<S>& v) {
  std::vector<S> result;
  for (const S& element : v) result.push_back(element * element);
  return result;
}

// exp of negative numbers only, lest it overflow.
template <class S>
S sigmoid(const S& z) {
  const S e = exp(-abs(z));
  return (value_of(z) < 0 ? e : S(1)) / (1.0 + e);
}

template <class S>
S sigma(Sigma kind, const S& z) {
  switch (kind) {
    case Sigma::kTanh:
      return tanh(z);
    case Sigma::kSigmoid:
      return sigmoid(z);
    case Sigma::kHardtanh:
      return hardtanh(z);
    case Sigma::kSoftsign:
      return z / (1.0 + abs(z));
    case Sigma::kGelu:
      return 0.5 * z * (1.0 + erf(z * std::sqrt(0.5)));
    case Sigma::kSilu:
      return z * sigmoid(z);
    case Sigma::kIdentity:
      break;
  }
  return z;
}

// sigma(x . beta^T) alpha of Eq. 4 and, in heads, of Eq. 7, one value a column, with dropout (Appendix D.2),
// and its forms in Table 3.
template <class S>
std::vector<S> dynamic_coefficient(const Options& options, const Row<S>& in) {
  const size_t n = in.x.size();
  const size_t width = n / static_cast<size_t>(options.num_heads);  // of a head
  std::vector<S> u;                                                 // sigma of each column
  for (size_t begin = 0; begin < n && options.beta == Form::kVector; begin += width) {
    std::vector<S> products;
    for (size_t i = begin; i < begin + width; ++i) products.push_back(in.x[i] * in.beta[i]);
    u.insert(u.end(), width, sigma(options.sigma, options.dot_scale * sum(products)));
  }
  for (size_t i = 0; i < n && options.beta == Form::kElementwise; ++i) {
    u.push_back(sigma(options.sigma, options.dot_scale * (in.x[i] * in.beta[i])));
  }
  std::vector<S> coefficient;
  if (options.beta == Form::kNone) {  // sigma(x) . alpha^T
    std::vector<S> products;
    for (size_t i = 0; i < n; ++i) {
      products.push_back(sigma(options.sigma, options.dot_scale * in.x[i]) * at(in.alpha, i, 1));
    }
    coefficient.assign(n, sum(products));
  } else {
    for (size_t i = 0; i < n; ++i) coefficient.push_back(u[i] * at(in.alpha, i, 1));
  }
  for (size_t i = 0; i < in.keep.size(); ++i) coefficient[i] = in.keep[i] * coefficient[i];
  return coefficient;
}

}  // namespace seednorm::test

#endif  // SEEDNORM_TESTS_SUPPORT_FORMULA_H_

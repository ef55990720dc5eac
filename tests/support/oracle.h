// What a case must give, with tolerances.
#ifndef SEEDNORM_TESTS_SUPPORT_ORACLE_H_
#define SEEDNORM_TESTS_SUPPORT_ORACLE_H_

#include <array>
#include <cstdint>
#include <vector>

#include "tests/support/bounded.h"
#include "tests/support/layer_case.h"
#include "tests/support/tape.h"

namespace seednorm::test {

inline std::vector<Bounded> expected_forward(const LayerCase& c, const Inputs& in) {
  Arithmetic::current() = Arithmetic::of(c.data);
  std::vector<Bounded> y;
  for (int64_t r = 0; r < c.rows; ++r) {
    const std::vector<Bounded> row = formula(c.norm, c.options, row_of<Bounded>(c, in, r));
    y.insert(y.end(), row.begin(), row.end());
  }
  return y;
}

// Gradients of sum dy y, N double or Bounded. Those of parameters are sums over rows.
template <class N>
struct Gradients {
  std::vector<N> dx;
  std::array<std::vector<Sum<N>>, kNumParams> params;
};

template <class N>
Gradients<N> gradients_of(const LayerCase& c, const Inputs& in) {
  Gradients<N> result;
  for (size_t p = 0; p < kNumParams; ++p) result.params[p].resize(in.params[p].size());
  const ParamKinds kinds = kinds_of(c.norm, c.options);
  Tape<N> tape;
  for (int64_t r = 0; r < c.rows; ++r) {
    tape.clear();
    const Row<Var<N>> row = row_of<Var<N>>(c, in, r, [&](double v) { return tape.leaf(N(v)); });
    std::vector<Var<N>> terms = formula(c.norm, c.options, row);
    const size_t begin = static_cast<size_t>(r * c.dim);
    for (size_t i = 0; i < terms.size(); ++i) terms[i] = in.dy[begin + i] * terms[i];
    const std::vector<Sum<N>> adjoints = tape.gradients(sum(terms));
    for (size_t i = 0; i < row.x.size(); ++i) {
      const N dx = adjoints[static_cast<size_t>(row.x[i].node)].total();
      result.dx.push_back(c.residual ? dx + N(in.dsum[begin + i]) : dx);
    }
    for (size_t p = 0; p < kNumParams; ++p) {
      const std::vector<Var<N>>& leaves = row[static_cast<Param>(p)];
      const size_t first =
          kinds[p] == ParamKind::kPerSample ? static_cast<size_t>(r / c.rows_per_sample * c.dim) : 0;
      for (size_t i = 0; i < leaves.size(); ++i) {
        result.params[p][first + i].merge(adjoints[static_cast<size_t>(leaves[i].node)]);
      }
    }
  }
  return result;
}

inline Gradients<Bounded> expected_backward(const LayerCase& c, const Inputs& in) {
  Arithmetic::current() = Arithmetic::of(c.data);
  return gradients_of<Bounded>(c, in);
}

// Whether `actual` is the one rounding to `dtype` of some number within the bound. NaN never is.
inline bool is_within(double actual, const Bounded& expected, DType dtype) {
  return expected.error < INFINITY && round_to(dtype, expected.value - expected.error) <= actual &&
         actual <= round_to(dtype, expected.value + expected.error);
}

}  // namespace seednorm::test

#endif  // SEEDNORM_TESTS_SUPPORT_ORACLE_H_

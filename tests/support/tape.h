// Reverse-mode automatic differentiation: a formula evaluated with Var writes down its operations, and
// Tape::gradients walks them backwards. It knows the derivatives of the elementary operations and nothing
// about norms, so a gradient obtained here shares no algebra with a kernel's backward pass.
#ifndef SEEDNORM_TESTS_SUPPORT_TAPE_H_
#define SEEDNORM_TESTS_SUPPORT_TAPE_H_

#include <cstdint>
#include <initializer_list>
#include <vector>

#include "tests/support/numbers.h"

namespace seednorm::test {

template <class N>
class Tape;

// A value of type N (double or Bounded) and its place on the tape. Constants have none.
template <class N>
struct Var {
  N value = 0;
  Tape<N>* tape = nullptr;
  int64_t node = -1;

  Var() = default;
  Var(double constant) : value(constant) {}  // NOLINT: formulas mix numbers and constants
  Var(N v, Tape<N>* t, int64_t n) : value(v), tape(t), node(n) {}
};

template <class N>
class Tape {
 public:
  // The derivative of a node by one of its arguments.
  struct Edge {
    int64_t node;
    N slope;
  };

  Var<N> leaf(const N& value) { return {value, this, close_node()}; }

  // A node with these arguments; those that are constants are left out.
  Var<N> node(const N& value, std::initializer_list<Edge> edges) {
    for (const Edge& edge : edges) add_edge(edge);
    return {value, this, close_node()};
  }
  void add_edge(const Edge& edge) {
    if (edge.node >= 0) edges_.push_back(edge);
  }
  int64_t close_node() {
    ends_.push_back(static_cast<int64_t>(edges_.size()));
    return static_cast<int64_t>(ends_.size()) - 1;
  }

  // d root / d node for every node, as the sum over the node's uses. Empty for nodes that root does not use.
  std::vector<Sum<N>> gradients(const Var<N>& root) const {
    std::vector<Sum<N>> adjoints(ends_.size());
    if (root.node < 0) return adjoints;
    adjoints[root.node].add(N(1));
    for (int64_t node = root.node; node >= 0; --node) {
      if (adjoints[node].count() == 0) continue;
      const N adjoint = adjoints[node].total();
      for (int64_t e = node == 0 ? 0 : ends_[node - 1]; e < ends_[node]; ++e) {
        adjoints[edges_[e].node].add(adjoint * edges_[e].slope);
      }
    }
    return adjoints;
  }

  void clear() {
    edges_.clear();
    ends_.clear();
  }

 private:
  std::vector<Edge> edges_;
  std::vector<int64_t> ends_;  // of each node's edges
};

template <class N>
Var<N> record(const N& value, const Var<N>& a, const N& slope) {
  if (a.tape == nullptr) return {value, nullptr, -1};
  return a.tape->node(value, {{a.node, slope}});
}
template <class N>
Var<N> record(const N& value, const Var<N>& a, const N& slope_a, const Var<N>& b, const N& slope_b) {
  Tape<N>* tape = a.tape != nullptr ? a.tape : b.tape;
  if (tape == nullptr) return {value, nullptr, -1};
  return tape->node(value, {{a.node, slope_a}, {b.node, slope_b}});
}

// The operators are found by argument-dependent lookup and take a constant on either side.
#define SEEDNORM_TEST_OPERATOR(op, slope_a, slope_b)     \
  template <class N>                                     \
  Var<N> operator op(const Var<N>& a, const Var<N>& b) { \
    const N value = a.value op b.value;                  \
    return record<N>(value, a, slope_a, b, slope_b);     \
  }                                                      \
  template <class N>                                     \
  Var<N> operator op(const Var<N>& a, double b) {        \
    return a op Var<N>(b);                               \
  }                                                      \
  template <class N>                                     \
  Var<N> operator op(double a, const Var<N>& b) {        \
    return Var<N>(a) op b;                               \
  }
SEEDNORM_TEST_OPERATOR(+, N(1), N(1))
SEEDNORM_TEST_OPERATOR(-, N(1), N(-1))
SEEDNORM_TEST_OPERATOR(*, b.value, a.value)
SEEDNORM_TEST_OPERATOR(/, N(1) / b.value, -(value / b.value))
#undef SEEDNORM_TEST_OPERATOR

template <class N>
Var<N> operator-(const Var<N>& a) {
  return record<N>(-a.value, a, N(-1));
}
template <class N>
Var<N> sqrt(const Var<N>& a) {
  const N root = sqrt(a.value);
  return record<N>(root, a, N(0.5) / root);
}
template <class N>
Var<N> exp(const Var<N>& a) {
  const N value = exp(a.value);
  return record<N>(value, a, value);
}
template <class N>
Var<N> tanh(const Var<N>& a) {
  return record<N>(tanh(a.value), a, tanh_slope(a.value));
}
template <class N>
Var<N> erf(const Var<N>& a) {
  return record<N>(erf(a.value), a, erf_slope(a.value));
}
template <class N>
Var<N> hardtanh(const Var<N>& a) {
  return record<N>(hardtanh(a.value), a, hardtanh_slope(a.value));
}
template <class N>
Var<N> abs(const Var<N>& a) {
  return value_of(a.value) < 0 ? -a : a;
}
template <class N>
Var<N> max(const Var<N>& a, const Var<N>& b) {
  const Var<N>& larger = value_of(a.value) < value_of(b.value) ? b : a;
  return {max(a.value, b.value), larger.tape, larger.node};
}
template <class N>
double value_of(const Var<N>& a) {
  return value_of(a.value);
}

template <class N>
Var<N> sum(const std::vector<Var<N>>& terms) {
  Sum<N> total;
  Tape<N>* tape = nullptr;
  for (const Var<N>& term : terms) {
    total.add(term.value);
    if (term.tape != nullptr) (tape = term.tape)->add_edge({term.node, N(1)});
  }
  if (tape == nullptr) return {total.total(), nullptr, -1};
  return {total.total(), tape, tape->close_node()};
}

}  // namespace seednorm::test

#endif  // SEEDNORM_TESTS_SUPPORT_TAPE_H_

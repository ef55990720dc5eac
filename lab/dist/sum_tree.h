// The order in which the gradients of a step's micro-batches are added, which does not depend on who computed
// them: a sum of n terms is the sum of its first ceil(n / 2) terms plus the sum of the others. With a power
// of two of ranks, each rank has a subtree, so that any such number gives the same bits.
#ifndef SEEDNORM_LAB_DIST_SUM_TREE_H_
#define SEEDNORM_LAB_DIST_SUM_TREE_H_

#include <cstdint>

namespace seednorm::lab {

struct Terms {
  int64_t first = 0, count = 0;
};

constexpr int64_t left_part(int64_t count) { return (count + 1) / 2; }

// The terms of `count` that `rank` of `size` computes. A number of ranks that is not a power of two gets
// equal parts, which are no subtrees; its bits differ from those of other numbers.
constexpr Terms terms_of(int64_t count, int rank, int size) {
  if ((size & (size - 1)) != 0) {
    const int64_t first = count * rank / size;
    return {first, count * (rank + 1) / size - first};
  }
  Terms out = {0, count};
  for (int half = size / 2; half > 0; half /= 2) {
    const int64_t left = left_part(out.count);
    out = (rank & half) == 0 ? Terms{out.first, left} : Terms{out.first + left, out.count - left};
  }
  return out;
}

// Adds up terms first .. first + count - 1: `leaf(i)` makes a term, and `add(a, b)` a + b. A term that is
// absent is an empty Sum.
template <class Sum, class Leaf, class Add>
Sum tree_sum(int64_t first, int64_t count, const Leaf& leaf, const Add& add) {
  if (count == 1) return leaf(first);
  const int64_t left = left_part(count);
  Sum a = tree_sum<Sum>(first, left, leaf, add);
  return add(std::move(a), tree_sum<Sum>(first + left, count - left, leaf, add));
}

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_DIST_SUM_TREE_H_

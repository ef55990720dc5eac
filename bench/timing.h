// Interleaved timing: every variant once per round, so that whatever else the machine does hits all alike.
#ifndef SEEDNORM_BENCH_TIMING_H_
#define SEEDNORM_BENCH_TIMING_H_

#include <functional>
#include <string>
#include <vector>

namespace seednorm::bench {

struct Variant {
  std::string name;
  std::function<void()> call;
  std::vector<double> us;  // one entry a round
};

struct Protocol {
  int rounds = 15;  // at least
  int max_rounds = 1000;
  double seconds = 1.5;  // go on until this much time has passed
  int warmups = 0;       // calls before the timed ones, to bring the variant's own cache state back
  int calls = 1;         // timed one by one; the round's entry is their median
};

// Fills `us` of all variants; the round's first one changes from round to round. Returns the rounds.
int measure(const Protocol& protocol, std::vector<Variant>* variants);

// Quantile q in [0, 1] of the values, nearest rank.
double quantile(std::vector<double> values, double q);
double median(const std::vector<double>& values);
// Median over rounds of a's time over b's.
double median_ratio(const Variant& a, const Variant& b);

}  // namespace seednorm::bench

#endif  // SEEDNORM_BENCH_TIMING_H_

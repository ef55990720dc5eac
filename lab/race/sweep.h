// Compares entrants at the best learning rate of each.
#ifndef SEEDNORM_LAB_RACE_SWEEP_H_
#define SEEDNORM_LAB_RACE_SWEEP_H_

#include <map>
#include <string>
#include <vector>

#include "lab/race/entrants.h"
#include "lab/report/run_summary.h"

namespace seednorm::lab {

// The entrants of a race that differ in nothing but lr.
struct Sweep {
  std::string label;                                    // without "@LR"
  std::vector<std::pair<double, std::string>> members;  // lr and entrant, in increasing order; two or more
};
std::vector<Sweep> sweeps_of(const std::vector<Entrant>& entrants);

// A parabola through three points with different x.
struct Parabola {
  double a = 0, b = 0, c = 0;  // a x^2 + b x + c
  double at(double x) const { return (a * x + b) * x + c; }
  double vertex() const { return -b / (2 * a); }
};
Parabola parabola_through(const std::vector<std::pair<double, double>>& three_points);

// The best learning rate of a sweep, and the metric there. The means over the seeds at the best measured
// rate and at its neighbours define a parabola in log lr, whose vertex is the best rate; each seed's value
// there is that of the parabola through its own three values. If the best measured rate is the first or the
// last one, it is the best rate, and `at_edge` says so. A rate at which some seed has no value, because its
// run failed, is not the best one. Nothing is known, NaN, if that is so at every rate.
struct TunedEntrant {
  SweepSummary summary;
  std::map<int64_t, double> values;  // by seed
};
TunedEntrant tune(const Sweep& sweep, const std::vector<RunSummary>& runs, const MetricInfo& metric);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_RACE_SWEEP_H_

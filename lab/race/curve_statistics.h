// What the curves of runs say beyond their last value: how soon a run reaches a value, how a difference
// changes with the amount of data, and whether a run has converged.
#ifndef SEEDNORM_LAB_RACE_CURVE_STATISTICS_H_
#define SEEDNORM_LAB_RACE_CURVE_STATISTICS_H_

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lab/race/paired.h"
#include "lab/report/metrics.h"

namespace seednorm::lab {

// A metric over units of data or over seconds, one point for each measurement, in order.
using Curve = std::vector<std::pair<double, double>>;

enum class Axis { kUnits, kSeconds };
// The finite measurements of a metric.
Curve curve_of(const std::vector<Measured>& measured, const std::string& metric, Axis axis);

// Where the curve first is at `value` or better, interpolated linearly between two points; the first x if it
// begins there. NaN if it never is.
double first_reached(const Curve& curve, double value, bool lower_is_better);

// The x at which b first reaches the worse one of the two final values, divided by that of a. NaN if a curve
// has fewer than two points, or begins there (trained weights, measured before the first step). Both curves
// reach that value, so that neither is favoured; the learning rate of the run that reaches it early has
// decayed less by then, which favours the slower one.
double reach_ratio(const Curve& a, const Curve& b, bool lower_is_better);
// The geometric mean of ratios and its interval; p is of the hypothesis that it is 1.
MeanEstimate mean_ratio(const std::vector<double>& ratios);

// The change of the difference b - a when x doubles: the least-squares slope over log2 x, of the points that
// both curves have from a quarter of the last x on, two doublings, since the beginning of a run says little
// about its end. NaN with fewer than three such points.
double trend(const Curve& a, const Curve& b);

// How a run ended.
//   diverged   a loss was not finite
//   blew_up    the mean loss of the last twentieth of the steps has lost more than half of what the best
//              twentieth had gained over the first loss
//   stagnated  the last twentieth has gained less than 5% of the first loss, or less than half of
//              `best_gain`, the largest gain of the runs with which it is compared
//   recovered  none of these, but on the way a twentieth of the steps, each of its steps, had lost more than
//              half of what had been gained before it
//   converged  none of these
// A run that begins with trained weights has little to gain: it blew up if the last twentieth has lost 5% of
// the first loss, and does not stagnate.
enum class Convergence { kConverged, kDiverged, kBlewUp, kStagnated, kRecovered };
Convergence convergence_of(const Curves& run, std::optional<double> best_gain = {});
// The first loss minus the mean loss of the last twentieth; NaN without steps.
double gain_of(const Curves& run);
std::string name_of(Convergence convergence);
// Whether a run of this name failed. One that recovered did not.
bool failed_to_converge(const std::string& convergence);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_RACE_CURVE_STATISTICS_H_

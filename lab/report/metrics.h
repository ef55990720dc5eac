// Reads a run's metrics.jsonl: curves, measurements during training, and samples.
#ifndef SEEDNORM_LAB_REPORT_METRICS_H_
#define SEEDNORM_LAB_REPORT_METRICS_H_

#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "lab/report/run_summary.h"

namespace seednorm::lab {

// A training step. Numbers that the line does not have are NaN.
struct TrainPoint {
  static constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  double step = kNaN, units = kNaN, seconds = kNaN, loss = kNaN, ema = kNaN, grad_norm = kNaN;
};

// A line with values of metrics: a validation, an evaluation of tasks.
struct Measured {
  double step = 0, units = 0, seconds = 0;
  Named<double> values;
};

struct Curves {
  std::vector<TrainPoint> train;   // of finite loss
  std::vector<Measured> measured;  // with the mean of validation sets, as add_mean_of_sets says
  nlohmann::ordered_json norms = nlohmann::ordered_json::array();  // [{"step", "norms": {name: {statistic}}}]
  nlohmann::ordered_json samples =
      nlohmann::ordered_json::array();  // [{"step", "items": [{"title", "text" or
                                        //   "image": PNG in base64}]}]
  // {"step", "classes": {name: [pictures, right ones]}} of the last line that has them; null if none has. Of
  // averaged weights where they are measured.
  nlohmann::ordered_json classes;
  std::optional<int64_t> diverged_at;  // the step
};

// `info` has the unit and the metrics; metrics that it lacks but undescribed_metric knows are added to it.
// Each omission is reported in a sentence of `notes`.
Curves read_metrics(const std::filesystem::path& file, RunInfo& info, std::vector<std::string>& notes);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_REPORT_METRICS_H_

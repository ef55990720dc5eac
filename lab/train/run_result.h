// What a run of training came to, and result.json, which keeps it in the run's folder.
#ifndef SEEDNORM_LAB_TRAIN_RUN_RESULT_H_
#define SEEDNORM_LAB_TRAIN_RUN_RESULT_H_

#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "lab/report/run_summary.h"

namespace seednorm::lab {

struct RunResult {
  RunInfo info;  // its metrics: those of the probes, and the smoothed training loss
  int64_t steps = 0, units = 0;
  double flops_per_unit = std::numeric_limits<double>::quiet_NaN();  // of the model, with those of its norms
  double seconds = 0;                                                // of training, over all calls
  double units_per_s = 0;                                            // over the steps of this call
  bool diverged = false;
  bool interrupted = false;  // by a signal, after saving; the run can be resumed
  Named<double> values;      // of the metrics that were measured, at the end
  nlohmann::ordered_json measured =
      nlohmann::ordered_json::object();  // the probes' members of metrics.jsonl, at the end

  // NaN if it was not measured.
  double value(const std::string& metric) const;
};

// The text of RUN/result.json. A number that is not finite is null in it.
std::string result_json(const RunResult& result);
// Errors (UserError): the text, of a file of this name, is not a result.
RunResult parse_result(const std::string& name, const std::string& text);
constexpr const char* kResultFile = "result.json";

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_TRAIN_RUN_RESULT_H_

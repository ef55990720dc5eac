// Metrics of files that were written before metrics had titles, units and directions (without run.json, and
// without "metrics" in results.json). All of them are of language models. No other code of this folder names
// a metric.
#ifndef SEEDNORM_LAB_REPORT_COMPATIBILITY_H_
#define SEEDNORM_LAB_REPORT_COMPATIBILITY_H_

#include <optional>
#include <string>

#include "lab/report/run_summary.h"

namespace seednorm::lab {

// The description of a run without run.json.
RunInfo language_run();

// The metric of a value "GROUP/NAME" without description: the loss on one validation set, or a task's score.
std::optional<MetricInfo> undescribed_metric(const std::string& name, const RunInfo& info);
// The metric whose chart also shows this one, or "". The chart of the mean loss also shows the loss on each
// validation set.
std::string chart_of(const std::string& name, const RunInfo& info);

// Adds the mean over validation sets to values that have only the losses on each set.
void add_mean_of_sets(Named<double>& values, const RunInfo& info);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_REPORT_COMPATIBILITY_H_

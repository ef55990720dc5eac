// What files do not say that were written before metrics had titles, units and directions (no run.json, no
// "metrics" in results.json): all of those are of language models. Nothing else here names a metric.
#ifndef SEEDNORM_LAB_REPORT_COMPATIBILITY_H_
#define SEEDNORM_LAB_REPORT_COMPATIBILITY_H_

#include <optional>
#include <string>

#include "lab/report/run_summary.h"

namespace seednorm::lab {

// A run without run.json.
RunInfo language_run();

// A value "GROUP/NAME" that no metric describes: the loss on one validation set, or a task's score.
std::optional<MetricInfo> undescribed_metric(const std::string& name, const RunInfo& info);
// The metric whose chart shows this one too, as the loss on all validation sets does that on each; else "".
std::string chart_of(const std::string& name, const RunInfo& info);

// Adds the mean of the validation sets to values that have only the losses on each.
void add_mean_of_sets(Named<double>& values, const RunInfo& info);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_REPORT_COMPATIBILITY_H_

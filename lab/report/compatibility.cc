#include "lab/report/compatibility.h"

#include <limits>

namespace seednorm::lab {
namespace {

constexpr const char* kMean = "val_loss";
const std::string kSets = "valid/", kTasks = "tasks/";

}  // namespace

RunInfo language_run() {
  return {"language",
          "token",
          {{kMean, "Validation loss", "nats per token", true},
           {kTrainLoss, "Training loss (smoothed)", "nats per token", true}}};
}

std::optional<MetricInfo> undescribed_metric(const std::string& name, const RunInfo& info) {
  if (name.starts_with(kTasks)) return MetricInfo{name, name.substr(kTasks.size()), "", false};
  const auto mean = find_metric(info.metrics, kMean);
  if (!name.starts_with(kSets) || !mean) return std::nullopt;
  return MetricInfo{name, name.substr(kSets.size()), mean->unit, mean->lower_is_better};
}

std::string chart_of(const std::string& name, const RunInfo& info) {
  return name.starts_with(kSets) && find_metric(info.metrics, kMean) ? kMean : "";
}

void add_mean_of_sets(Named<double>& values, const RunInfo& info) {
  if (!find_metric(info.metrics, kMean)) return;
  double sum = 0;
  int sets = 0;
  for (const auto& [name, value] : values) {
    if (name == kMean) return;
    if (!name.starts_with(kSets)) continue;
    sum += value;  // NaN if a set's loss is not known
    ++sets;
  }
  if (sets > 0) values.emplace_back(kMean, sum / sets);
}

}  // namespace seednorm::lab

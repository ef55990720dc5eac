// The name of a metric, and its better direction.
#ifndef SEEDNORM_LAB_BASE_METRIC_H_
#define SEEDNORM_LAB_BASE_METRIC_H_

#include <string>
#include <utility>
#include <vector>

namespace seednorm::lab {

struct MetricInfo {
  std::string name;   // in files: "val_loss"; "tasks/piqa" is the member piqa of the group tasks
  std::string title;  // for people: "Validation loss"
  std::string unit;   // "nats per token", "%"; may be empty
  bool lower_is_better = true;
};

// Values by name, in a fixed order.
template <class T>
using Named = std::vector<std::pair<std::string, T>>;

inline constexpr const char* kTrainLoss = "train_loss";  // smoothed; every workload has it

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_BASE_METRIC_H_

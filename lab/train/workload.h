// A kind of model with its data, its loss and its measurements: all that training, races and reports know
// of a modality.
#ifndef SEEDNORM_LAB_TRAIN_WORKLOAD_H_
#define SEEDNORM_LAB_TRAIN_WORKLOAD_H_

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "lab/base/metric.h"
#include "lab/nn/param_info.h"

namespace seednorm::lab {

// Rows (sequences, images) first .. first + count - 1 of a step's batch.
struct RowRange {
  int64_t first = 0, count = 0;
};

struct Batch {
  std::vector<at::Tensor> tensors;
  int64_t units = 0;  // tokens, images
  // Where it stands, for losses that draw random numbers.
  int64_t step = 0, first_row = 0;
};

struct Loss {
  // Scalar: what backward begins from, auxiliary losses with their weights included.
  at::Tensor total;
  // Scalars for the log. The first is "loss", without auxiliary losses.
  Named<at::Tensor> parts;
};

// What a model costs.
struct Counts {
  int64_t params = 0;
  int64_t active_params = 0;  // that one unit meets: of experts, those that are chosen
  int64_t norm_params = 0;    // of all norms
  int64_t extra_params = 0;   // over the same model with RMSNorm everywhere
  double flops_per_unit = 0;  // forward and backward
};

// What a workload is made for.
enum class Purpose {
  kTraining,   // its data are opened, its model has initial weights
  kBenchmark,  // random data in place of its own
  kCounting,  // neither data nor weights: memory that is never touched costs nothing, whatever the model's size
};

// What a probe found.
struct Measurement {
  nlohmann::ordered_json line;  // members for a line of metrics.jsonl
  Named<double> values;         // by the names of MetricInfo
};

// Something that is measured at intervals: validation sets, tasks, accuracy, samples.
class Probe {
 public:
  virtual ~Probe() = default;
  // Steps between two measurements; 0: only at the end.
  virtual int64_t every() const = 0;
  // What `values` of a measurement hold.
  virtual std::vector<MetricInfo> metrics() const = 0;
  // Leaves the model as it was. Errors (Interrupted): the user stopped the program.
  virtual Measurement run() = 0;
};

class WeightAverage;

class Workload {
 public:
  virtual ~Workload() = default;

  virtual torch::nn::Module& module() = 0;
  virtual std::vector<ParamInfo> params() const = 0;

  virtual std::string name() const = 0;       // "language"
  virtual std::string unit() const = 0;       // "token"
  virtual std::string loss_unit() const = 0;  // "nats per token"
  virtual int64_t units_per_row() const = 0;  // tokens of a sequence; 1 for images
  virtual Counts counts() const = 0;

  // A pure function of the settings, the step and the rows: the same for every norm and every number of
  // processes.
  virtual Batch batch(int64_t step, RowRange rows) const = 0;
  // An average of the weights that is kept up to date in training; null: none.
  virtual WeightAverage* weight_average() const { return nullptr; }

  // `share` is the batch's part of the whole step (rows over batch_size): the parts of all micro-batches
  // add up to means over the step.
  virtual Loss loss(const Batch& batch, double share) = 0;

  // Reads all that they will need, so that mistakes show before the first step. The workload must outlive
  // them.
  virtual std::vector<std::unique_ptr<Probe>> probes() = 0;

  // The model directory, in a folder that exists.
  virtual void save(const std::filesystem::path& folder) const = 0;
  virtual void load(const std::filesystem::path& folder) = 0;
  // Of training data and preprocessing: a resumed run needs the same.
  virtual std::string fingerprint() const = 0;
  // Lines for the user: the model, its norms, its data.
  virtual std::string summary() const = 0;
  // config.json of the model directory.
  virtual nlohmann::json model_config() const = 0;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_TRAIN_WORKLOAD_H_

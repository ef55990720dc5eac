// A kind of model with its data, loss and measurements. Training, races and reports reach a modality only
// through this interface.
#ifndef SEEDNORM_LAB_TRAIN_WORKLOAD_H_
#define SEEDNORM_LAB_TRAIN_WORKLOAD_H_

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "lab/base/metric.h"
#include "lab/dist/group.h"
#include "lab/nn/param_info.h"

namespace seednorm::lab {

// Rows (sequences, images) first .. first + count - 1 of a step's batch.
struct RowRange {
  int64_t first = 0, count = 0;
};

struct Batch {
  std::vector<at::Tensor> tensors;  // on the CPU, as Workload::batch makes them, until moved_to moves them
  int64_t units = 0;                // tokens, images
  // The position of the batch, for losses that draw random numbers.
  int64_t step = 0, first_row = 0;

  // The same batch with its tensors on this device. `non_blocking` lets copies from pinned memory go on while
  // the caller does.
  Batch moved_to(at::Device device, bool non_blocking = false) const {
    Batch out = *this;
    for (at::Tensor& t : out.tensors) t = t.to(device, t.scalar_type(), non_blocking);
    return out;
  }
};

struct Loss {
  // The scalar from which backward starts, including the weighted auxiliary losses.
  at::Tensor total;
  // Scalars for the log. The first is "loss", without auxiliary losses.
  Named<at::Tensor> parts;
};

// The size and cost of a model.
struct Counts {
  int64_t params = 0;
  int64_t active_params = 0;       // used for one unit: of the experts, only the chosen ones
  int64_t norm_params = 0;         // of all norms
  int64_t extra_params = 0;        // in addition to those of the same model with RMSNorm everywhere
  double flops_per_unit = 0;       // of matrix products, forward and backward
  double norm_flops_per_unit = 0;  // of the norms, in addition to flops_per_unit; 0: not counted
};

// The purpose of a workload.
enum class Purpose {
  kTraining,   // opens the data and initializes the weights
  kBenchmark,  // uses random data
  kCounting,  // uses neither data nor weights; memory that is never touched costs nothing, even for a large model
};

// The result of a probe.
struct Measurement {
  nlohmann::ordered_json line;  // members for a line of metrics.jsonl
  Named<double> values;         // by MetricInfo::name
  // A line for each piece of the measured data that this rank could not read and left out.
  std::vector<std::string> left_out;
};

// A measurement that is taken at intervals: validation sets, tasks, accuracy, samples.
class Probe {
 public:
  virtual ~Probe() = default;
  // Steps between two measurements; 0: only at the end.
  virtual int64_t every() const = 0;
  // The metrics in `values` of a measurement.
  virtual std::vector<MetricInfo> metrics() const = 0;
  // Does not change the model. Every rank of the group calls it, and may measure a part and exchange the
  // results, or measure everything. Errors (Interrupted): the user stopped the program.
  virtual Measurement run(const Group& group) = 0;
  // Before the first measurement of a resumed run, for each earlier line of metrics.jsonl in order.
  virtual void recall(const nlohmann::json& /*line*/) {}
};

class WeightAverage;

class Workload {
 public:
  virtual ~Workload() = default;

  // Is made on the CPU. module().to(device) moves everything that the model computes with, before parameters
  // are handed out to an optimizer; probes measure the model where it is.
  virtual torch::nn::Module& module() = 0;
  virtual std::vector<ParamInfo> params() const = 0;

  virtual std::string name() const = 0;       // "language"
  virtual std::string unit() const = 0;       // "token"
  virtual std::string loss_unit() const = 0;  // "nats per token"
  virtual int64_t units_per_row() const = 0;  // tokens of a sequence; 1 for images
  virtual Counts counts() const = 0;

  // A pure function of the settings, the step and the rows, and therefore the same for every norm and every
  // number of processes.
  virtual Batch batch(int64_t step, RowRange rows) const = 0;
  // A line for each piece of the training data that could not be read and was left out of this process's
  // batches so far. Nothing if such data are an error.
  virtual std::optional<std::vector<std::string>> left_out() const { return std::nullopt; }
  // Whether training begins with trained weights, which are then measured before the first step.
  virtual bool begins_trained() const { return false; }
  // The average of the weights that training updates, or null.
  virtual WeightAverage* weight_average() const { return nullptr; }

  // The batch is on the model's device, and so are the results; nothing waits for them. `share` is the
  // batch's part of the whole step (rows / batch_size), so that the parts of all micro-batches add up to
  // means over the step.
  virtual Loss loss(const Batch& batch, double share) = 0;

  // Reads everything that the probes will need, so that mistakes show before the first step. The workload
  // must outlive them.
  virtual std::vector<std::unique_ptr<Probe>> probes() = 0;

  // What the model sees of its first batch, as a PNG; empty for data that are no pictures.
  virtual std::string first_batch_png() const { return ""; }

  // Writes the model directory into an existing folder.
  virtual void save(const std::filesystem::path& folder) const = 0;
  virtual void load(const std::filesystem::path& folder) = 0;
  // Identifies training data and preprocessing, which must be the same in a resumed run.
  virtual std::string fingerprint() const = 0;
  // Lines for the user about the model, its norms and its data.
  virtual std::string summary() const = 0;
  // config.json of the model directory.
  virtual nlohmann::json model_config() const = 0;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_TRAIN_WORKLOAD_H_

#include "lab/cli/eval_images.h"

#include <cstdio>
#include <filesystem>
#include <optional>

#include "lab/base/error.h"
#include "lab/base/file.h"
#include "lab/cli/verb.h"
#include "lab/tensors/strict_json.h"
#include "lab/vision/classify/accuracy.h"
#include "lab/vision/data/image_subset.h"
#include "lab/vision/interop/image_model_dir.h"

namespace seednorm::lab {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

// A file that appears complete or not at all, and never in the place of another.
class Predictions {
 public:
  explicit Predictions(const fs::path& file) : file_(file), partial_(file.string() + ".partial") {
    if (fs::exists(file)) {
      throw UserError("--predictions: " + file.string() +
                      " exists already; name a new file, nothing is overwritten");
    }
    fs::remove(partial_);
    out_.emplace(partial_);
  }
  void write(const std::string& name, int label, std::span<const float> logits) {
    Json line = {{"file", name}, {"label", label}, {"logits", Json::array()}};
    for (const float l : logits) line["logits"].push_back(l);
    out_->write(line.dump() + "\n");
  }
  void finish() {
    out_->close();
    fs::rename(partial_, file_);
  }

 private:
  fs::path file_, partial_;
  std::optional<OutputFile> out_;
};

AugmentOptions augment_of(const ImageModelFile& model) {
  AugmentOptions out =
      AugmentOptions::evaluation(static_cast<int>(model.config.image_size), model.preprocessing.crop_part);
  out.normalization = model.preprocessing.normalization;
  return out;
}

}  // namespace

bool is_image_model(const std::string& folder) {
  const fs::path file = fs::path(folder) / "config.json";
  if (!fs::exists(file)) return false;
  constexpr int kMaxDepth = 16;
  const nlohmann::json json = parse_strict_json(read_file(file, size_t{1} << 20), file.string(), kMaxDepth);
  return json.is_object() && json.contains("architecture");
}

void eval_images(const ImageEvalOptions& options) {
  const ImageModelFile file = read_image_model_file(options.model);
  std::unique_ptr<ImageSet> set =
      open_image_set(options.data, {.is_test = true, .allow_empty_classes = true});
  if (static_cast<int64_t>(set->classes().size()) != file.config.num_classes) {
    throw UserError("--data: " + options.data + " has " + std::to_string(set->classes().size()) +
                    " classes, the model " + std::to_string(file.config.num_classes));
  }
  if (options.limit > 0 && options.limit < set->size()) {
    set = std::make_unique<ImageSubset>(std::move(set), options.limit);
  }
  const auto model =
      load_image_model(options.model, options.average ? "average.safetensors" : "model.safetensors");
  std::optional<Predictions> predictions;
  if (!options.predictions.empty()) predictions.emplace(options.predictions);
  OnPrediction on_prediction;
  if (predictions) {
    on_prediction = [&](int64_t index, int label, std::span<const float> logits) {
      predictions->write(set->name(index), label, logits);
    };
  }
  const Accuracy a = measure_accuracy(
      *model, *set, {.augment = augment_of(file), .rows = options.rows, .skip_damaged = options.skip_damaged},
      on_prediction);
  if (predictions) predictions->finish();
  std::printf("pictures  %lld\nAcc@1     %.2f%%\nAcc@5     %.2f%%\nloss      %.4f nats per image\n",
              static_cast<long long>(a.images), a.acc1(), a.acc5(), a.loss());
  if (a.damaged > 0) std::printf("damaged   %lld, not among them\n", static_cast<long long>(a.damaged));
  write_json(options.json, {{"model", options.model},
                            {"data", options.data},
                            {"images", a.images},
                            {"acc1", a.acc1()},
                            {"acc5", a.acc5()},
                            {"loss", a.loss()},
                            {"damaged", a.damaged}});
}

}  // namespace seednorm::lab

#include "lab/cli/eval_images.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <optional>

#include "lab/base/error.h"
#include "lab/base/file.h"
#include "lab/cli/verb.h"
#include "lab/train/left_out.h"
#include "lab/vision/classify/accuracy.h"
#include "lab/vision/data/image_subset.h"
#include "lab/vision/interop/image_model_dir.h"

namespace seednorm::lab {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

// A file that appears complete or not at all, and never in the place of another. Each rank writes its part of
// the lines beside it.
class Predictions {
 public:
  Predictions(fs::path file, const Group& group) : file_(std::move(file)), group_(group) {
    group_.on_main([&] {
      if (!fs::exists(file_)) return;
      throw UserError("--predictions: " + file_.string() +
                      " exists already; name a new file, nothing is overwritten");
    });
    group_.together([&] {
      fs::remove(part_of(group_.rank()));
      out_.emplace(part_of(group_.rank()));
    });
  }
  // Nothing is left of a part that did not become the whole.
  ~Predictions() {
    std::error_code ignored;
    fs::remove(part_of(group_.rank()), ignored);
  }
  Predictions(const Predictions&) = delete;
  Predictions& operator=(const Predictions&) = delete;

  void write(const std::string& name, int label, std::span<const float> logits) {
    Json line = {{"file", name}, {"label", label}, {"logits", Json::array()}};
    for (const float l : logits) line["logits"].push_back(l);
    out_->write(line.dump() + "\n");
  }
  // Ranks have their pictures one after the other.
  void finish() {
    group_.together([&] {
      if (!group_.is_main()) out_->close();
    });
    group_.on_main([&] {
      for (int r = 1; r < group_.size(); ++r) {
        out_->write(MappedFile(part_of(r)).bytes());
        fs::remove(part_of(r));
      }
      out_->close();
      fs::rename(part_of(0), file_);
    });
  }

 private:
  fs::path part_of(int rank) const {
    return file_.string() + (rank == 0 ? ".partial" : ".partial-" + std::to_string(rank));
  }

  fs::path file_;
  const Group& group_;
  std::optional<OutputFile> out_;
};

AugmentOptions augment_of(const ImageModelFile& model) {
  AugmentOptions out =
      AugmentOptions::evaluation(static_cast<int>(model.config.image_size), model.preprocessing.crop_part);
  out.normalization = model.preprocessing.normalization;
  return out;
}

double percent(const Accuracy::OfClass& c) {
  return 100 * static_cast<double>(c.right) / static_cast<double>(c.images);
}

Json classes_json(const ImageSet& set, const Accuracy& a) {
  Json out = Json::array();
  for (size_t i = 0; i < a.classes.size(); ++i) {
    const Accuracy::OfClass& c = a.classes[i];
    out.push_back({{"name", set.classes()[i]}, {"images", c.images}});
    out.back()["acc1"] = c.images > 0 ? Json(percent(c)) : Json();
  }
  return out;
}

// The classes that have pictures, or of many those that do worst.
void print_classes(const ImageSet& set, const Accuracy& a) {
  constexpr size_t kShown = 20;
  std::vector<size_t> order;
  for (size_t i = 0; i < a.classes.size(); ++i) {
    if (a.classes[i].images > 0) order.push_back(i);
  }
  const size_t shown = std::min(order.size(), kShown);
  if (shown < order.size()) {
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t i, size_t j) { return percent(a.classes[i]) < percent(a.classes[j]); });
  }
  std::printf("\nclass                     pictures   Acc@1\n");
  for (size_t i = 0; i < shown; ++i) {
    const Accuracy::OfClass& c = a.classes[order[i]];
    std::printf("%-24s %9lld %6.2f%%\n", set.classes()[order[i]].c_str(), static_cast<long long>(c.images),
                percent(c));
  }
  if (shown < order.size())
    std::printf("and %zu classes that do better; --json has all\n", order.size() - shown);
}

}  // namespace

void eval_images(const ImageEvalOptions& options, const Group& group) {
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
  if (!options.predictions.empty()) predictions.emplace(options.predictions, group);
  OnPrediction on_prediction;
  if (predictions) {
    on_prediction = [&](int64_t index, int label, std::span<const float> logits) {
      predictions->write(set->name(index), label, logits);
    };
  }
  const Accuracy a = measure_accuracy(*model, *set,
                                      {.augment = augment_of(file),
                                       .rows = options.rows,
                                       .skip_damaged = options.skip_damaged,
                                       .skip_option = "--skip-damaged"},
                                      on_prediction, group);
  if (predictions) predictions->finish();
  LeftOut("measured data").add(a.left_out, group);
  if (!group.is_main()) return;
  std::printf("pictures  %lld\nAcc@1     %.2f%%\nAcc@5     %.2f%%\nloss      %.4f nats per image\n",
              static_cast<long long>(a.images), a.acc1(), a.acc5(), a.loss());
  if (a.damaged > 0) std::printf("damaged   %lld, not among them\n", static_cast<long long>(a.damaged));
  print_classes(*set, a);
  write_json(options.json, {{"model", options.model},
                            {"data", options.data},
                            {"images", a.images},
                            {"acc1", a.acc1()},
                            {"acc5", a.acc5()},
                            {"loss", a.loss()},
                            {"damaged", a.damaged},
                            {"classes", classes_json(*set, a)}});
}

}  // namespace seednorm::lab

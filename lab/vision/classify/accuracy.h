// How often a classifier is right.
#ifndef SEEDNORM_LAB_VISION_CLASSIFY_ACCURACY_H_
#define SEEDNORM_LAB_VISION_CLASSIFY_ACCURACY_H_

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "lab/train/workload.h"
#include "lab/vision/data/loader.h"
#include "lab/vision/models/image_model.h"

namespace seednorm::lab {

// Counts over a whole set, and sums in double: not means of batches' means.
struct Accuracy {
  int64_t images = 0, top1 = 0, top5 = 0;
  int64_t damaged = 0;                // that could not be read; not among the images
  std::vector<std::string> left_out;  // a line for each of those that this rank met
  double loss_sum = 0;                // plain cross entropy, nats
  struct OfClass {
    int64_t images = 0, right = 0;  // by Acc@1
  };
  std::vector<OfClass> classes;

  double loss() const { return loss_sum / static_cast<double>(images); }
  // Percent.
  double acc1() const { return 100 * static_cast<double>(top1) / static_cast<double>(images); }
  double acc5() const { return 100 * static_cast<double>(top5) / static_cast<double>(images); }
};

// How many classes are before `label` in the order of logits, of equal ones the lowest first: 0 is right. As
// many as there are classes if a logit is NaN.
int64_t rank_of(std::span<const float> logits, int64_t label);

struct AccuracyOptions {
  AugmentOptions augment;  // of evaluation
  int64_t rows = 64;       // pictures a pass; only memory and speed depend on it
  int workers = 1;
  bool skip_damaged = false;
  std::string skip_option = "skip_damaged=true";  // how the user asks for that, for the error
};
// A picture's place in the set, its label and its logits.
using OnPrediction = std::function<void(int64_t index, int label, std::span<const float> logits)>;

// Every picture of the set once, in its order. Acc@5 is of min(5, classes). Errors (UserError): a damaged
// picture, or none that can be read. (Interrupted): the user stopped the program. The ranks of a group divide
// the set among them, and all get the whole result, the same for any number of ranks; on_prediction is called
// for a rank's own pictures.
Accuracy measure_accuracy(ImageModel& model, const ImageSet& set, const AccuracyOptions& options,
                          const OnPrediction& on_prediction = {}, const Group& group = Group::alone());

class ClassifyWorkload;
// Loss, Acc@1 and Acc@5 of the weights, and of their average where there is one, and the best Acc@1 of the
// run so far. Errors (UserError): the set is missing, is the training set itself, or has other classes.
std::unique_ptr<Probe> accuracy_probe(const ClassifyWorkload& workload);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_CLASSIFY_ACCURACY_H_

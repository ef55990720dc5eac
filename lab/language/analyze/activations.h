// Records what the norms of a model get as their input while it reads a text.
#ifndef SEEDNORM_LAB_LANGUAGE_ANALYZE_ACTIVATIONS_H_
#define SEEDNORM_LAB_LANGUAGE_ANALYZE_ACTIVATIONS_H_

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "lab/language/analyze/distribution.h"
#include "lab/language/analyze/plan.h"
#include "lab/language/models/model.h"

namespace seednorm::lab {

// The place of a norm in a model: its site (as in norm.SITE; "frac" for those of Frac-Connections) and its
// layer.
struct NormPlace {
  std::string site;
  std::optional<int64_t> layer;  // nothing for the norm before the head
};
NormPlace place_of(const std::string& norm);

struct NormActivations {
  std::string name;
  NormPlace place;
  Distribution rms;  // sqrt(mean of x^2) of each row of the input, without eps
  // For norms with a dot product: z and u = sigma(z) of each row and head, and the share of saturated z.
  std::optional<Distribution> z, u;
  double saturated = 0;
  // Of the norm in front of a mixture of experts, and of the first one that gets its output: by the experts
  // that process the token. A token counts for each of its experts.
  std::optional<GroupedDistribution> rms_by_expert, z_by_expert;
};

// While it exists, it records every `every`-th token of each pass of the model, which must outlive it.
// Numbers are float64.
class ActivationRecorder {
 public:
  ActivationRecorder(Model& model, int64_t every);
  ~ActivationRecorder();
  ActivationRecorder(const ActivationRecorder&) = delete;
  ActivationRecorder& operator=(const ActivationRecorder&) = delete;

  // Of all norms, in the order of Model::norms.
  std::vector<NormActivations> activations() const;
  // Of the norms with a dot product, for a plan.
  std::vector<MeasuredNorm> measured() const;

 private:
  struct Record {
    std::string name;
    NormLayer* norm;
    std::vector<double> rms, z;  // [rows], [rows x heads]
    MeasuredNorm measured;
  };
  void record(Record& record, const at::Tensor& input) const;

  Model& model_;
  int64_t every_;
  std::vector<Record> records_;
  std::map<int64_t, Moe*> experts_;                 // by layer
  std::map<int64_t, std::vector<int64_t>> chosen_;  // by layer: the experts of each token
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_ANALYZE_ACTIVATIONS_H_

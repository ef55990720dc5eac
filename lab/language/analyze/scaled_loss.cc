#include "lab/language/analyze/scaled_loss.h"

#include <limits>

#include "lab/language/eval/log_probs.h"

namespace seednorm::lab {
namespace {

void set_scale(Model& model, Scaled what, double scale) {
  if (what == Scaled::kStream) return model.set_stream_scale(scale);
  for (const auto& [name, norm] : model.norms()) norm->set_input_scale(scale);
}

// Sets the scale for as long as it exists.
class WithScale {
 public:
  WithScale(Model& model, Scaled what, double scale) : model_(model), what_(what) {
    set_scale(model_, what_, scale);
  }
  ~WithScale() { set_scale(model_, what_, 1); }
  WithScale(const WithScale&) = delete;
  WithScale& operator=(const WithScale&) = delete;

 private:
  Model& model_;
  Scaled what_;
};

}  // namespace

const char* name_of(Scaled what) { return what == Scaled::kStream ? "stream" : "norms"; }

double scaled_loss(Model& model, Scaled what, double scale, std::span<const int64_t> ids,
                   std::span<const Window> windows, const ScoreOptions& options) {
  const WithScale scaled(model, what, scale);
  try {
    return score_tokens(model, ids, windows, options).nll();
  } catch (const NotFinite&) {
    return std::numeric_limits<double>::quiet_NaN();
  }
}

}  // namespace seednorm::lab

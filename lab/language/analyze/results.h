// The results of `seednorm analyze` as JSON and as tables.
//   {"model", "norms": {site: norm}, "dtype", "tokenizer",
//    "texts": [{"text", "tokens", "loss", "bits_per_byte",
//               "scaled": [{"what": "stream" | "norms", "scale", "loss"}],
//               "norms": [{"norm", "site", "layer", "rms": distribution, "z", "u", "saturated",
//                          "by_expert": {"rms": grouped, "z": grouped}}]}],
//    "plan": {"dynamic_share", "sites": [...]},
//    "gradients": [{"heads", "batches", "loss", "alpha", "beta", "gamma"}]}
// with distribution = {"count", "mean", "sd", "q01", "median", "q99"} and grouped = {"explained", "groups":
// [distribution]}. z, u and saturated are those of norms with a dot product; by_expert is that of norms
// beside experts. What was not measured is absent, and a number that is not finite is null.
#ifndef SEEDNORM_LAB_LANGUAGE_ANALYZE_RESULTS_H_
#define SEEDNORM_LAB_LANGUAGE_ANALYZE_RESULTS_H_

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "lab/language/analyze/activations.h"
#include "lab/language/analyze/gradient_variance.h"

namespace seednorm::lab {

nlohmann::ordered_json to_json(const NormActivations& norm);
nlohmann::ordered_json to_json(const SitePlan& plan);
nlohmann::ordered_json to_json(const GradientVariance& gradients);

// The tables of one model, from its JSON.
std::string analysis_tables(const nlohmann::ordered_json& model);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_ANALYZE_RESULTS_H_

// A run's metrics.jsonl, as the page draws it.
#ifndef SEEDNORM_LAB_REPORT_METRICS_H_
#define SEEDNORM_LAB_REPORT_METRICS_H_

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace seednorm::lab {

// {"train": {"step": [...], "tokens", "seconds", "loss", "ema", "grad_norm"},
//  "valid": [{"step", "tokens", "seconds", "valid": {name: loss}}],
//  "tasks": [{"step", "tokens", "seconds", "tasks": {name: value}}],
//  "norms": [{"step", "norms": {name: {...}}}], "samples": [{"step", "sample"}], "diverged_at": step}
// A long run's curve is thinned to points that keep its look: the least and the greatest loss of each
// stretch. What had to be left out is added to `notes`, a sentence each.
nlohmann::ordered_json read_metrics(const std::filesystem::path& file, std::vector<std::string>& notes);

// Finite numbers keep `digits` significant digits, so that the page is small; others are null.
nlohmann::ordered_json rounded(double value, int digits = 6);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_REPORT_METRICS_H_

#include "bench/norm_report.h"

#include <cmath>
#include <cstdio>

namespace seednorm::bench {
namespace {

// Four significant digits: more would be noise.
double rounded(double value) {
  if (value == 0 || !std::isfinite(value)) return value;
  const double scale = std::pow(10, 3 - std::floor(std::log10(std::abs(value))));
  return std::round(value * scale) / scale;
}

std::string label(const NormSpec& spec) {
  return spec.heads == 1 ? spec.norm : spec.norm + ":" + std::to_string(spec.heads);
}

void put_ratio(const char* name, const std::optional<NormResult::Ratio>& ratio, nlohmann::ordered_json* j) {
  if (!ratio) return;
  (*j)[name] = rounded(ratio->of_rounds);
  (*j)[std::string(name) + "_of_medians"] = rounded(ratio->of_medians);
}

std::string text(const std::optional<NormResult::Ratio>& ratio) {
  if (!ratio) return "-";
  char buffer[32];
  std::snprintf(buffer, sizeof(buffer), "%.3f", ratio->of_rounds);
  return buffer;
}

}  // namespace

nlohmann::ordered_json to_json(const NormResult& r, const NormOptions& options) {
  nlohmann::ordered_json j = {
      {"impl", "seednorm"},
      {"norm", r.spec.norm},
      {"pass", name_of(r.pass)},
      {"dtype", name_of(r.dtype)},
      {"param_dtype", name_of(param_dtype(options, r.dtype))},
      {"rows", r.rows},
      {"cols", r.cols},
      {"heads", r.spec.heads},
      {"threads", options.threads},
      {"tensor_mb", r.tensor_mb},
      {"state", r.state},
      {"rounds", r.rounds},
      {"median_us", rounded(r.median_us)},
      {"p10_us", rounded(r.p10_us)},
      {"p90_us", rounded(r.p90_us)},
      {"gb_per_s", rounded(r.gb_per_s)},
      {"limit_gb_per_s", rounded(r.limit.gb_per_s)},
      {"limit_kind", r.limit.kind},
      {"of_limit", rounded(r.gb_per_s / r.limit.gb_per_s)},
      {"of_limit_of_rounds", rounded(r.of_limit_rounds)},
  };
  if (r.cached_limit) {
    j["cached_limit_gb_per_s"] = rounded(r.cached_limit->gb_per_s);
    j["cached_limit_kind"] = r.cached_limit->kind;
    j["of_cached_limit"] = rounded(r.gb_per_s / r.cached_limit->gb_per_s);
  }
  put_ratio("vs_rms_norm", r.vs_rms_norm, &j);
  put_ratio("vs_one_head", r.vs_one_head, &j);
  return j;
}

nlohmann::ordered_json to_json(const LatencyResult& r) {
  nlohmann::ordered_json j = {
      {"impl", "seednorm"},
      {"norm", r.spec.norm},
      {"pass", "fwd"},
      {"dtype", "float32"},
      {"rows", 1},
      {"cols", r.cols},
      {"heads", r.spec.heads},
      {"median_ns", rounded(r.median_ns)},
      {"p10_ns", rounded(r.p10_ns)},
      {"p90_ns", rounded(r.p90_ns)},
  };
  j["allocations"] =
      r.allocations < 0 ? nlohmann::ordered_json(nullptr) : nlohmann::ordered_json(r.allocations);
  return j;
}

void print_header(std::ostream& out) {
  char line[200];
  std::snprintf(line, sizeof(line), "%-4s %-9s %5s %6s  %-14s %11s %11s %11s %7s %7s %8s %8s %8s %8s\n",
                "pass", "dtype", "MiB", "cols", "norm", "median us", "p10", "p90", "GB/s", "limit",
                "of limit", "cached", "/rms", "/1head");
  out << line;
}

void print(const NormResult& r, std::ostream& out) {
  char cached[16] = "-";
  if (r.cached_limit) std::snprintf(cached, sizeof(cached), "%.3f", r.gb_per_s / r.cached_limit->gb_per_s);
  char line[240];
  std::snprintf(
      line, sizeof(line), "%-4s %-9s %5lld %6lld  %-14s %11.1f %11.1f %11.1f %7.1f %7.1f %8.3f %8s %8s %8s\n",
      name_of(r.pass), name_of(r.dtype), static_cast<long long>(r.tensor_mb), static_cast<long long>(r.cols),
      label(r.spec).c_str(), r.median_us, r.p10_us, r.p90_us, r.gb_per_s, r.limit.gb_per_s,
      r.gb_per_s / r.limit.gb_per_s, cached, text(r.vs_rms_norm).c_str(), text(r.vs_one_head).c_str());
  out << line << std::flush;
}

void print(const LatencyResult& r, std::ostream& out) {
  char line[200];
  const std::string allocations = r.allocations < 0 ? "not counted" : std::to_string(r.allocations);
  std::snprintf(line, sizeof(line), "%-14s %8.1f ns a call (p10 %.1f, p90 %.1f), allocations: %s\n",
                label(r.spec).c_str(), r.median_ns, r.p10_ns, r.p90_ns, allocations.c_str());
  out << line << std::flush;
}

}  // namespace seednorm::bench

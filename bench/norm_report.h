// What `bench norm` measured, and how it is written: JSON for programs, a table for people.
#ifndef SEEDNORM_BENCH_NORM_REPORT_H_
#define SEEDNORM_BENCH_NORM_REPORT_H_

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "bench/norm_options.h"

namespace seednorm::bench {

// One norm in one configuration. Ratios: median over rounds of the rounds' ratios, and ratio of medians.
struct NormResult {
  struct Limit {
    double gb_per_s = 0;
    std::string kind;  // the fastest stream's name
  };
  struct Ratio {
    double of_rounds = 0;
    double of_medians = 0;
  };
  NormSpec spec;
  Pass pass = Pass::kForward;
  DType dtype = DType::kFloat32;
  int64_t rows = 0, cols = 0, tensor_mb = 0;
  std::string state;  // "in_cache", "partly_in_cache", "out_of_cache"
  int rounds = 0;
  double median_us = 0, p10_us = 0, p90_us = 0;
  double gb_per_s = 0;  // of the bytes the pass must move
  Limit limit;
  double of_limit_rounds = 0;
  std::optional<Limit> cached_limit;  // the fastest that leaves its result in the cache; in cache only
  std::optional<Ratio> vs_rms_norm, vs_one_head;
};

struct LatencyResult {
  NormSpec spec;
  int64_t cols = 0;
  double median_ns = 0, p10_ns = 0, p90_ns = 0;  // a call
  int64_t allocations = -1;                      // in all calls; -1: not counted
};

nlohmann::ordered_json to_json(const NormResult& result, const NormOptions& options);
nlohmann::ordered_json to_json(const LatencyResult& result);

void print_header(std::ostream& out);
void print(const NormResult& result, std::ostream& out);
void print(const LatencyResult& result, std::ostream& out);

}  // namespace seednorm::bench

#endif  // SEEDNORM_BENCH_NORM_REPORT_H_

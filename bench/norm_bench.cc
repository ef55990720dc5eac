#include "bench/norm_bench.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <utility>

#include "bench/cache.h"
#include "bench/limit.h"
#include "bench/machine.h"
#include "bench/norm_case.h"
#include "bench/norm_latency.h"
#include "bench/norm_options.h"
#include "bench/norm_report.h"
#include "bench/peer_bench.h"
#include "bench/timing.h"
#include "seednorm/seednorm.h"

namespace seednorm::bench {
namespace {

constexpr int64_t kMiB = int64_t{1} << 20;

double gb_per_s(double bytes, double us) { return bytes / us * 1e-3; }

class NormBench {
 public:
  NormBench(NormOptions options, std::ostream& out) : options_(std::move(options)), out_(out) {}

  nlohmann::ordered_json run(CountAllocations allocations) {
    set_simd_target(options_.simd);
    check_norms();
    set_num_threads(options_.threads);
    executor_ = default_executor();
    pinned_ = pin_threads(executor_);
    fork_join_us_ = fork_join_us(executor_);
    measure_caches();
    const int64_t largest = *std::max_element(options_.tensor_mb.begin(), options_.tensor_mb.end());
    for (int i = 0; i < 3; ++i) buffers_.push_back(std::make_unique<Buffer>(largest * kMiB));
    json_["machine"] = describe_machine();
    print_heading();
    for (int64_t mb : options_.tensor_mb) {
      for (DType dtype : options_.dtypes) {
        fill(mb, dtype);
        for (int64_t cols : options_.widths) {
          for (Pass pass : options_.passes) configuration(mb, dtype, cols, pass);
        }
      }
    }
    latency(allocations);
    finish_json();
    return json_;
  }

 private:
  // Whatever a norm or a shape does not allow is said before anything is measured.
  void check_norms() const {
    for (int64_t cols : options_.widths) {
      for (const NormSpec& spec : options_.norms) Norm(spec.norm, cols, {.num_heads = spec.heads});
      for (int64_t mb : options_.tensor_mb) {
        for (DType dtype : options_.dtypes) {
          if (rows_of(mb, cols, dtype) > 0) continue;
          throw std::invalid_argument("--mb: expected room for a row of " + std::to_string(cols) + " " +
                                      name_of(dtype) + ", got " + std::to_string(mb));
        }
      }
    }
  }

  static int64_t rows_of(int64_t mb, int64_t cols, DType dtype) {
    return mb * kMiB / (cols * static_cast<int64_t>(size_of(dtype)));
  }

  void measure_caches() {
    const std::vector<ReadSpeed> curve = measure_reading(executor_);
    cache_mb_ = cache_mb(curve);
    for (const ReadSpeed& point : curve) {
      json_["read_gb_per_s"][std::to_string(point.mb) + " MiB"] = std::round(point.gb_per_s * 10) / 10;
    }
  }

  std::string state_of(int64_t mb, Pass pass) const {
    if (mb > cache_mb_) return "out_of_cache";
    return mb * num_tensors(pass) <= cache_mb_ ? "in_cache" : "partly_in_cache";
  }

  Protocol protocol(const std::string& state) const {
    Protocol p{.rounds = options_.rounds, .seconds = options_.seconds};
    p.warmups = state == "out_of_cache" ? 0 : 2;
    return p;
  }

  Tensors tensors() { return {buffers_[0]->data(), buffers_[1]->data(), buffers_[2]->data()}; }

  void fill(int64_t mb, DType dtype) {
    const int64_t count = mb * kMiB / static_cast<int64_t>(size_of(dtype));
    for (int i = 0; i < 3; ++i) fill_normal(buffers_[i]->data(), count, dtype, 271828 * i, executor_);
  }

  Moved moved(int64_t bytes, Pass pass) {
    const Tensors t = tensors();
    return {t.x, pass == Pass::kForward ? nullptr : t.dy, t.out, static_cast<size_t>(bytes)};
  }

  // The streams that measure the limit for tensors of this size.
  const std::vector<Stream>& contenders(int64_t mb, Pass pass) {
    std::vector<Stream>& chosen = contenders_[{mb, pass}];
    if (!chosen.empty()) return chosen;
    const std::string state = state_of(mb, pass);
    Protocol p = protocol(state);
    p.seconds /= 2;
    const Contest contest = hold_contest(moved(mb * kMiB, pass), p, state == "in_cache", executor_);
    nlohmann::ordered_json speeds = nlohmann::ordered_json::object();
    for (const auto& [name, speed] : contest.gb_per_s) speeds[name] = std::round(10 * speed) / 10;
    json_["streams"].push_back(
        {{"pass", name_of(pass)}, {"tensor_mb", mb}, {"state", state}, {"gb_per_s", speeds}});
    return chosen = contest.winners;
  }

  void configuration(int64_t mb, DType dtype, int64_t cols, Pass pass) {
    const NormShape shape{rows_of(mb, cols, dtype), cols, dtype, param_dtype(options_, dtype)};
    const int64_t bytes = shape.rows * cols * static_cast<int64_t>(size_of(dtype));
    const std::vector<Stream>& limits = contenders(mb, pass);
    std::vector<std::unique_ptr<NormCase>> cases;
    std::vector<Variant> variants;
    const Tensors t = tensors();
    for (const NormSpec& spec : options_.norms) {
      cases.push_back(std::make_unique<NormCase>(spec, shape, options_.save_stats));
      NormCase* const one = cases.back().get();
      if (pass == Pass::kBackward) one->prepare_backward(t, executor_);
      const auto call = [this, one, t, pass] {
        pass == Pass::kForward ? one->forward(t, executor_) : one->backward(t, executor_);
      };
      variants.push_back({spec.norm, call, {}});
    }
    const Moved same_bytes = moved(bytes, pass);
    for (const Stream& stream : limits) variants.push_back(stream_variant(stream, same_bytes, executor_));

    NormResult common;
    common.pass = pass;
    common.dtype = dtype;
    common.rows = shape.rows;
    common.cols = cols;
    common.tensor_mb = mb;
    common.state = state_of(mb, pass);
    common.rounds = measure(protocol(common.state), &variants);
    report(common, static_cast<double>(num_tensors(pass) * bytes), variants, limits);
  }

  // The fastest of `limits`, whose variants follow those of the norms; null if none is wanted.
  const Variant* fastest(const std::vector<Variant>& variants, const std::vector<Stream>& limits,
                         bool cached) const {
    const Variant* best = nullptr;
    for (size_t i = 0; i < limits.size(); ++i) {
      const Variant& v = variants[options_.norms.size() + i];
      if (cached && !limits[i].keeps_in_cache) continue;
      if (best == nullptr || median(v.us) < median(best->us)) best = &v;
    }
    return best;
  }

  void report(NormResult r, double bytes, const std::vector<Variant>& variants,
              const std::vector<Stream>& limits) {
    const Variant& limit = *fastest(variants, limits, false);
    r.limit = {gb_per_s(bytes, median(limit.us)), limit.name};
    if (r.state == "in_cache") {
      const Variant& cached = *fastest(variants, limits, true);
      r.cached_limit = {gb_per_s(bytes, median(cached.us)), cached.name};
    }
    for (size_t i = 0; i < options_.norms.size(); ++i) {
      const Variant& v = variants[i];
      r.spec = options_.norms[i];
      r.median_us = median(v.us);
      r.p10_us = quantile(v.us, 0.1);
      r.p90_us = quantile(v.us, 0.9);
      r.gb_per_s = gb_per_s(bytes, r.median_us);
      r.of_limit_rounds = median_ratio(limit, v);
      r.vs_rms_norm = ratio(v, find({"rms_norm", 1}, r.spec), variants);
      r.vs_one_head = ratio(v, find({r.spec.norm, 1}, r.spec), variants);
      print(r, out_);
      json_["results"].push_back(to_json(r, options_));
    }
  }

  // Index of the norm to compare `self` with; none if it is not measured or is `self`.
  std::optional<size_t> find(const NormSpec& wanted, const NormSpec& self) const {
    if (wanted.norm == self.norm && wanted.heads == self.heads) return std::nullopt;
    for (size_t i = 0; i < options_.norms.size(); ++i) {
      if (options_.norms[i].norm == wanted.norm && options_.norms[i].heads == wanted.heads) return i;
    }
    return std::nullopt;
  }

  static std::optional<NormResult::Ratio> ratio(const Variant& v, std::optional<size_t> base,
                                                const std::vector<Variant>& variants) {
    if (!base) return std::nullopt;
    const Variant& b = variants[*base];
    return NormResult::Ratio{median_ratio(v, b), median(v.us) / median(b.us)};
  }

  void latency(CountAllocations allocations) {
    const int calls = options_.quick ? 100 : 2000;
    out_ << "\none row of " << kLatencyCols << " float32, forward, " << calls << " calls a round\n";
    for (const LatencyResult& r : measure_latency(options_, calls, executor_, allocations)) {
      print(r, out_);
      json_["latency"].push_back(to_json(r));
    }
  }

  void print_heading() {
    const nlohmann::ordered_json& m = json_["machine"];
    out_ << m["cpu"].get<std::string>() << ", " << m["simd_target"].get<std::string>() << ", "
         << m["compiler"].get<std::string>() << ", " << m["commit"].get<std::string>() << ", threads "
         << options_.threads << (pinned_.empty() ? " (not pinned)" : " (pinned)") << ", fork and join "
         << std::round(10 * fork_join_us_) / 10 << " us\n"
         << "reading, GB/s:";
    for (const auto& [size, speed] : json_["read_gb_per_s"].items())
      out_ << " " << size << " " << speed << ";";
    out_ << " the caches hold " << cache_mb_ << " MiB, their label says "
         << static_cast<double>(last_level_cache_bytes()) / kMiB << "\n\n";
    print_header(out_);
  }

  void finish_json() {
    json_["protocol"] = {
        {"rounds_at_least", options_.rounds},
        {"seconds_at_least", options_.seconds},
        {"in_cache", "each variant 3 times on the same buffers in every round, the third one timed"},
        {"out_of_cache", "each variant once in every round"},
        {"cache_mb_by_reading", cache_mb_},
        {"buffers", "2 MiB aligned, huge pages asked for, written first by the same threads"},
        {"pinned_to", pinned_},
        {"fork_join_us", std::round(10 * fork_join_us_) / 10},
        {"save_stats", options_.save_stats},
        {"other_processes_percent", std::round(10 * load_.others_percent()) / 10},
        {"stolen_by_host_percent", std::round(10 * load_.stolen_percent()) / 10},
    };
    out_ << "\nprocessor time that went to other processes " << json_["protocol"]["other_processes_percent"]
         << " %, to the host's other guests " << json_["protocol"]["stolen_by_host_percent"] << " %\n";
  }

  const NormOptions options_;
  std::ostream& out_;
  const OtherLoad load_;
  Executor executor_;
  std::vector<int> pinned_;
  double fork_join_us_ = 0;
  int64_t cache_mb_ = 0;
  std::vector<std::unique_ptr<Buffer>> buffers_;  // x, dy, out
  std::map<std::pair<int64_t, Pass>, std::vector<Stream>> contenders_;
  nlohmann::ordered_json json_ = {{"results", nlohmann::ordered_json::array()}};
};

// Before the measurement, which a mistyped folder should not cost.
std::ofstream open_json(const std::string& path) {
  std::ofstream file(path);
  if (!file) throw std::invalid_argument("--json: cannot write \"" + path + "\"");
  return file;
}

void write_json(nlohmann::ordered_json json, const std::vector<std::string>& args, std::ofstream file) {
  std::string command = "seednorm-bench-norm";
  for (const std::string& arg : args) command += " " + arg;
  json["command"] = command;
  file << json.dump(1) << "\n";
  file.close();
  if (!file) throw std::runtime_error("--json: writing failed");
}

}  // namespace

int run_norm_bench(const std::vector<std::string>& args, CountAllocations allocations, std::ostream& out,
                   std::ostream& err) {
  try {
    const NormOptions options = parse_norm_options(args);
    if (options.help) {
      out << kNormHelp;
      return 0;
    }
    std::ofstream file;
    if (!options.json_path.empty()) file = open_json(options.json_path);
    const nlohmann::ordered_json json =
        options.peer.empty() ? NormBench(options, out).run(allocations) : run_peer_bench(options, out);
    if (!options.json_path.empty()) write_json(json, args, std::move(file));
    return 0;
  } catch (const std::invalid_argument& e) {
    err << "bench norm: " << e.what() << "\n";
    return 2;
  } catch (const std::exception& e) {
    err << "bench norm: " << e.what() << "\n";
    return 1;
  }
}

}  // namespace seednorm::bench

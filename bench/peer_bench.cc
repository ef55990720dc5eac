#include "bench/peer_bench.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "bench/machine.h"
#include "bench/norm_case.h"
#include "bench/onednn.h"
#include "bench/timing.h"
#include "seednorm/seednorm.h"

namespace seednorm::bench {
namespace {

double rounded(double value, double digits) { return std::round(value * digits) / digits; }

double element(const void* data, DType dtype, int64_t i) {
  if (dtype == DType::kFloat32) return static_cast<const float*>(data)[i];
  const uint32_t bits = uint32_t{static_cast<const uint16_t*>(data)[i]} << 16;
  return std::bit_cast<float>(bits);
}

std::vector<double> elements(const void* data, DType dtype, int64_t count) {
  std::vector<double> values(count);
  for (int64_t i = 0; i < count; ++i) values[i] = element(data, dtype, i);
  return values;
}

// All elements must agree to `tolerance`, absolute for small numbers and relative for large ones.
void check_same(const std::string& what, const std::vector<double>& ours, const void* theirs, DType dtype,
                double tolerance) {
  for (size_t i = 0; i < ours.size(); ++i) {
    const double a = ours[i], b = element(theirs, dtype, static_cast<int64_t>(i));
    if (std::abs(a - b) <= tolerance * (1 + std::abs(a))) continue;
    throw std::runtime_error("oneDNN and seednorm differ in " + what + ", element " + std::to_string(i) +
                             ": " + std::to_string(b) + " and " + std::to_string(a));
  }
}

// Adds to each row of `ours` the mean distance of `theirs` from it; returns the largest such distance.
double add_row_distance(std::vector<double>* ours, const void* theirs, const NormShape& shape) {
  double largest = 0;
  for (int64_t r = 0; r < shape.rows; ++r) {
    double distance = 0;
    for (int64_t i = r * shape.cols; i < (r + 1) * shape.cols; ++i) {
      distance += (element(theirs, shape.dtype, i) - (*ours)[i]) / static_cast<double>(shape.cols);
    }
    for (int64_t i = r * shape.cols; i < (r + 1) * shape.cols; ++i) (*ours)[i] += distance;
    largest = std::max(largest, std::abs(distance));
  }
  return largest;
}

// One layer of both libraries on the tensors that all variants share.
class Pair {
 public:
  Pair(const OneDnn& library, const NormSpec& spec, const NormShape& shape, const Tensors& tensors,
       const Executor& executor)
      : shape_(shape),
        tensors_(tensors),
        executor_(executor),
        name_(spec.norm),
        ours_(spec, shape, true),
        dgamma_(shape.cols),
        dbeta_(shape.cols),
        mean_(shape.rows),
        variance_(shape.rows),
        theirs_(library,
                {.rms = spec.norm == "rms_norm",
                 .rows = shape.rows,
                 .cols = shape.cols,
                 .dtype = shape.dtype,
                 .eps = static_cast<float>(Options().eps)},
                {.x = tensors.x,
                 .dy = tensors.dy,
                 .y = tensors.out,
                 .dx = tensors.out,
                 .gamma = static_cast<const float*>(ours_.params()[Param::kGamma].data),
                 .beta = static_cast<const float*>(ours_.params()[Param::kBeta].data),
                 .dgamma = dgamma_.data(),
                 .dbeta = dbeta_.data(),
                 .mean = mean_.data(),
                 .variance = variance_.data()}) {}

  const std::string& name() const { return name_; }

  // Also leaves what backward needs of forward. Returns whether the gradients of x differ by a constant for
  // each row, as those of RMSNorm do in oneDNN 3.13: it subtracts the row's mean of dy gamma, as LayerNorm
  // must.
  bool check() {
    bool differs = false;
    const int64_t count = shape_.rows * shape_.cols;
    const double rounding = shape_.dtype == DType::kBFloat16 ? 0x1p-6 : 1e-4;
    const std::string shape = name_ + " " + std::to_string(shape_.rows) + " x " + std::to_string(shape_.cols);
    for (Pass pass : {Pass::kForward, Pass::kBackward}) {
      call_ours(pass);
      std::vector<double> mine = elements(tensors_.out, shape_.dtype, count);
      call_theirs(pass);
      if (pass == Pass::kBackward && name_ == "rms_norm")
        differs = !(add_row_distance(&mine, tensors_.out, shape_) <= rounding);
      check_same(shape + " " + name_of(pass), mine, tensors_.out, shape_.dtype, rounding);
    }
    const double summing = 1e-4 * std::sqrt(static_cast<double>(shape_.rows));
    const auto compare = [&](Param param, const std::vector<float>& gradient) {
      const View& own = ours_.grads()[param];
      if (own.data == nullptr) return;
      const std::vector<double> mine = elements(own.data, DType::kFloat32, shape_.cols);
      check_same(shape + " parameter gradients", mine, gradient.data(), DType::kFloat32, summing);
    };
    compare(Param::kGamma, dgamma_);
    compare(Param::kBeta, dbeta_);
    return differs;
  }

  void call_ours(Pass pass) {
    pass == Pass::kForward ? ours_.forward(tensors_, executor_) : ours_.backward(tensors_, executor_);
  }
  void call_theirs(Pass pass) const { pass == Pass::kForward ? theirs_.forward() : theirs_.backward(); }

 private:
  const NormShape shape_;
  const Tensors tensors_;
  const Executor& executor_;
  const std::string name_;
  NormCase ours_;
  std::vector<float> dgamma_, dbeta_, mean_, variance_;
  OneDnn::Norm theirs_;
};

class PeerBench {
 public:
  PeerBench(const NormOptions& options, std::ostream& out) : options_(options), out_(out) {}

  nlohmann::ordered_json run() {
    set_simd_target(options_.simd);
    // Before any thread starts: how many threads oneDNN takes depends on its build, but no build takes more
    // than the processors that it may use.
    limit_processors(options_.threads);
    library_ = std::make_unique<OneDnn>(options_.peer_library);
    set_num_threads(options_.threads);
    executor_ = default_executor();
    json_["machine"] = describe_machine();
    json_["peer"] = {{"name", "oneDNN"}, {"version", library_->version()}};
    print_heading();
    for (DType dtype : options_.dtypes) {
      for (const Shape& shape : options_.shapes) measure_shape(shape, dtype);
    }
    finish();
    return json_;
  }

 private:
  void measure_shape(const Shape& shape, DType dtype) {
    const int64_t count = shape.rows * shape.cols;
    std::vector<Buffer> buffers;
    for (int i = 0; i < 3; ++i) {
      buffers.emplace_back(static_cast<size_t>(count) * size_of(dtype));
      fill_normal(buffers.back().data(), count, dtype, 271828 * i, executor_);
    }
    const Tensors tensors{buffers[0].data(), buffers[1].data(), buffers[2].data()};
    std::vector<std::unique_ptr<Pair>> pairs;
    for (const NormSpec& spec : options_.norms) {
      const NormShape norm_shape{shape.rows, shape.cols, dtype, DType::kFloat32};
      pairs.push_back(std::make_unique<Pair>(*library_, spec, norm_shape, tensors, executor_));
      rms_differs_ |= pairs.back()->check();
    }
    for (Pass pass : options_.passes) measure_pass(pairs, shape, dtype, pass);
  }

  void measure_pass(const std::vector<std::unique_ptr<Pair>>& pairs, const Shape& shape, DType dtype,
                    Pass pass) {
    std::vector<Variant> variants;
    for (const std::unique_ptr<Pair>& pair : pairs) {
      Pair* const p = pair.get();
      variants.push_back({"oneDNN", [p, pass] { p->call_theirs(pass); }, {}});
      variants.push_back({"seednorm", [p, pass] { p->call_ours(pass); }, {}});
    }
    measure({.rounds = options_.rounds, .seconds = options_.seconds, .warmups = 2}, &variants);
    for (size_t i = 0; i < pairs.size(); ++i) {
      const Variant &theirs = variants[2 * i], &ours = variants[2 * i + 1];
      report(pairs[i]->name(), shape, dtype, pass, median(theirs.us), median(ours.us),
             median_ratio(theirs, ours));
    }
  }

  void print_heading() const {
    const nlohmann::ordered_json& m = json_["machine"];
    out_ << m["cpu"].get<std::string>() << ", " << m["simd_target"].get<std::string>() << ", "
         << m["commit"].get<std::string>() << ", oneDNN " << library_->version() << ", threads "
         << options_.threads << "\n\n"
         << line("norm", "pass", "dtype", "rows x cols", "oneDNN us", "ours us", "oneDNN / ours")
         << std::flush;
  }

  void report(const std::string& norm, const Shape& shape, DType dtype, Pass pass, double theirs, double ours,
              double ratio) {
    const std::string size = std::to_string(shape.rows) + " x " + std::to_string(shape.cols);
    out_ << line(norm, name_of(pass), name_of(dtype), size, fixed(theirs, 1), fixed(ours, 1), fixed(ratio, 2))
         << std::flush;
    log_sum_ += std::log(ratio);
    if (json_["results"].empty() || ratio < worst_) {
      worst_ = ratio;
      worst_case_ = norm + " " + name_of(pass) + " " + name_of(dtype) + " " + size;
    }
    json_["results"].push_back({{"norm", norm},
                                {"pass", name_of(pass)},
                                {"dtype", name_of(dtype)},
                                {"rows", shape.rows},
                                {"cols", shape.cols},
                                {"onednn_us", rounded(theirs, 10)},
                                {"seednorm_us", rounded(ours, 10)},
                                {"onednn_over_seednorm", rounded(ratio, 1000)}});
  }

  void finish() {
    const double mean = std::exp(log_sum_ / static_cast<double>(json_["results"].size()));
    json_["geometric_mean"] = rounded(mean, 1000);
    json_["worst"] = {{"case", worst_case_}, {"onednn_over_seednorm", rounded(worst_, 1000)}};
    json_["onednn_rms_norm_backward_is_exact"] = !rms_differs_;
    json_["protocol"] = {
        {"rounds_at_least", options_.rounds},
        {"seconds_at_least", options_.seconds},
        {"threads", options_.threads},
        {"calls", "each variant 3 times on the same buffers in every round, the third one timed"},
        {"other_processes_percent", rounded(load_.others_percent(), 10)},
        {"stolen_by_host_percent", rounded(load_.stolen_percent(), 10)},
    };
    out_ << "\noneDNN's time over ours (above 1, ours is faster): geometric mean " << fixed(mean, 2)
         << ", worst " << fixed(worst_, 2) << " (" << worst_case_ << ")\n"
         << (rms_differs_
                 ? "oneDNN's RMSNorm backward also subtracts each row's mean of dy gamma, which is not part "
                   "of its gradient\n"
                 : "")
         << "processor time that went to other processes " << json_["protocol"]["other_processes_percent"]
         << " %, to the host's other guests " << json_["protocol"]["stolen_by_host_percent"] << " %\n";
  }

  static std::string fixed(double value, int digits) {
    char text[40];
    std::snprintf(text, sizeof(text), "%.*f", digits, value);
    return text;
  }
  static std::string line(const std::string& norm, const std::string& pass, const std::string& dtype,
                          const std::string& size, const std::string& theirs, const std::string& ours,
                          const std::string& ratio) {
    char text[200];
    std::snprintf(text, sizeof(text), "%-11s %-5s %-9s %14s %11s %11s %14s\n", norm.c_str(), pass.c_str(),
                  dtype.c_str(), size.c_str(), theirs.c_str(), ours.c_str(), ratio.c_str());
    return text;
  }

  const NormOptions& options_;
  std::ostream& out_;
  const OtherLoad load_;
  std::unique_ptr<OneDnn> library_;
  Executor executor_;
  bool rms_differs_ = false;
  double log_sum_ = 0, worst_ = 0;
  std::string worst_case_;
  nlohmann::ordered_json json_ = {{"results", nlohmann::ordered_json::array()}};
};

}  // namespace

nlohmann::ordered_json run_peer_bench(const NormOptions& options, std::ostream& out) {
  return PeerBench(options, out).run();
}

}  // namespace seednorm::bench

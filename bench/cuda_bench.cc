// Speed of the kernels for GPUs, beside what the memory does: a copy of as many bytes, in turns with them.
//
// Device time is that of launches queued back to back, by events; host time that of queueing one call, while
// the device is not waited for.
#include <cuda_runtime.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "seednorm/cuda.h"
#include "seednorm/seednorm.h"

namespace {

using seednorm::DType;
using seednorm::kNumParams;
using seednorm::Norm;
using seednorm::Param;
using seednorm::ParamKind;

constexpr const char* kUsage =
    "usage: seednorm-cuda-bench [--norms A,B] [--widths N,..] [--rows N,..] [--heads N,..] [--dtypes "
    "bfloat16,..]\n"
    "                           [--rounds N] [--json FILE] [--table18] [--list]\n"
    "  --table18  1 and 1,024 tokens of width 1,536: host and device time of 1,000 passes without the first "
    "10\n"
    "  --list     the cases only; needs no GPU\n";

struct Case {
  std::string norm;
  int64_t rows, cols, heads;
  DType dtype;
  bool backward;
};

struct Result {
  Case c;
  double device_us, host_us, limit_us;
};

void check(cudaError_t error) {
  if (error != cudaSuccess) throw std::runtime_error(cudaGetErrorString(error));
}

class Buffer {
 public:
  explicit Buffer(size_t bytes) {
    check(cudaMalloc(&data_, bytes + 16));
    // Random numbers of sizes from 0.008 to 2 and both signs, in all types: a block of them, over and over.
    std::mt19937 random(1);
    std::vector<uint16_t> block(std::min(bytes, size_t{1} << 20) / 2);
    for (uint16_t& half : block) half = static_cast<uint16_t>((random() & 0x83FF) | 0x3C00);
    for (size_t at = 0; at < bytes; at += block.size() * 2) {
      check(cudaMemcpy(static_cast<char*>(data_) + at, block.data(), std::min(bytes - at, block.size() * 2),
                       cudaMemcpyHostToDevice));
    }
  }
  Buffer(Buffer&& other) noexcept : data_(other.data_) { other.data_ = nullptr; }
  Buffer& operator=(Buffer&&) = delete;
  ~Buffer() { cudaFree(data_); }
  void* data() const { return data_; }

 private:
  void* data_ = nullptr;
};

// A norm with all it works on.
class Layer {
 public:
  explicit Layer(const Case& c)
      : case_(c),
        norm_(c.norm, c.cols, {.num_heads = c.heads}),
        x_(bytes()),
        dy_(c.backward ? bytes() : 0),
        out_(bytes()),
        stats_(static_cast<size_t>(c.rows * norm_.num_stats()) * 8),
        scratch_(c.backward ? seednorm::cuda::scratch_bytes(norm_, c.rows, c.dtype) : 0) {
    for (int p = 0; p < kNumParams; ++p) params_.emplace_back(static_cast<size_t>(c.cols) * 4);
    for (int p = 0; p < kNumParams; ++p) grads_.emplace_back(static_cast<size_t>(c.cols) * 4);
  }

  size_t bytes() const {
    return static_cast<size_t>(case_.rows * case_.cols) * seednorm::size_of(case_.dtype);
  }

  void run() {
    seednorm::Params params;
    seednorm::ParamGrads grads;
    for (int p = 0; p < kNumParams; ++p) {
      const auto param = static_cast<Param>(p);
      if (norm_.kind(param) == ParamKind::kAbsent) continue;
      params[param] = {params_[static_cast<size_t>(p)].data(), DType::kFloat32};
      grads[param] = {grads_[static_cast<size_t>(p)].data(), DType::kFloat32};
    }
    if (!case_.backward) {
      return seednorm::cuda::forward(norm_, {.rows = case_.rows,
                                             .x = {x_.data(), case_.dtype},
                                             .y = {out_.data(), case_.dtype},
                                             .params = params,
                                             .stats = stats_.data(),
                                             .rows_per_sample = case_.rows});
    }
    seednorm::cuda::backward(norm_, {.rows = case_.rows,
                                     .x = {x_.data(), case_.dtype},
                                     .dy = {dy_.data(), case_.dtype},
                                     .dx = {out_.data(), case_.dtype},
                                     .params = params,
                                     .grads = grads,
                                     .stats = stats_.data(),
                                     .scratch = scratch_.data(),
                                     .rows_per_sample = case_.rows});
  }

 private:
  Case case_;
  Norm norm_;
  Buffer x_, dy_, out_, stats_, scratch_;
  std::vector<Buffer> params_, grads_;
};

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2),
                   values.end());
  return values[values.size() / 2];
}

// Microseconds a call on the device, `count` of them back to back.
double device_us(const std::function<void()>& call, int count) {
  cudaEvent_t begin = nullptr, end = nullptr;
  check(cudaEventCreate(&begin));
  check(cudaEventCreate(&end));
  check(cudaEventRecord(begin));
  for (int i = 0; i < count; ++i) call();
  check(cudaEventRecord(end));
  check(cudaEventSynchronize(end));
  float ms = 0;
  check(cudaEventElapsedTime(&ms, begin, end));
  check(cudaEventDestroy(begin));
  check(cudaEventDestroy(end));
  return ms * 1e3 / count;
}

double host_us(const std::function<void()>& call) {
  constexpr int kPasses = 1000, kSkipped = 10;
  std::vector<double> times;
  for (int i = 0; i < kPasses; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    call();
    const std::chrono::duration<double, std::micro> time = std::chrono::steady_clock::now() - begin;
    if (i >= kSkipped) times.push_back(time.count());
    if (i % 100 == 99)
      check(cudaDeviceSynchronize());  // or the queue fills, and queueing waits for the device
  }
  return median(times);
}

Result measure(const Case& c, int rounds) {
  Layer layer(c);
  // The bytes that must move: x and y; x, dy and dx. A copy moves each byte twice.
  const size_t copied = layer.bytes() * (c.backward ? 3 : 2) / 2;
  Buffer from(copied), to(copied);
  const auto run = [&] { layer.run(); };
  const auto copy = [&] { check(cudaMemcpyAsync(to.data(), from.data(), copied, cudaMemcpyDeviceToDevice)); };
  run();
  copy();
  check(cudaDeviceSynchronize());
  const int count = std::clamp(static_cast<int>(2000 / std::max(1.0, device_us(run, 3))), 1, 100);
  std::vector<double> ours, limit;
  for (int i = 0; i < rounds; ++i) {
    ours.push_back(device_us(run, count));
    limit.push_back(device_us(copy, count));
  }
  return {c, median(ours), c.rows <= 1024 ? host_us(run) : 0, median(limit)};
}

std::string json(const Result& r, bool table18) {
  const double moved = static_cast<double>(r.c.rows * r.c.cols) *
                       static_cast<double>(seednorm::size_of(r.c.dtype)) * (r.c.backward ? 3 : 2);
  char text[512];
  std::snprintf(
      text, sizeof(text),
      R"({"impl":"%s","norm":"%s","pass":"%s","dtype":"%s","rows":%lld,"cols":%lld,"heads":%lld,"threads":0,)"
      R"("median_us":%.3f,"host_us":%.3f,"gb_per_s":%.1f,"limit_gb_per_s":%.1f,"of_limit":%.4f})",
      table18 ? "cpp" : "seednorm_cuda", r.c.norm.c_str(), r.c.backward ? "bwd" : "fwd", name_of(r.c.dtype),
      static_cast<long long>(r.c.rows), static_cast<long long>(r.c.cols), static_cast<long long>(r.c.heads),
      r.device_us, r.host_us, moved / r.device_us / 1e3, moved / r.limit_us / 1e3, r.limit_us / r.device_us);
  return text;
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, ',');) parts.push_back(part);
  return parts;
}

struct Options {
  std::map<std::string, std::string> values = {{"--norms", "rms_norm,seed_norm"},
                                               {"--widths", "128,1024,2048,4096,8192,16384"},
                                               {"--rows", "2048,32768"},
                                               {"--heads", "1,16"},
                                               {"--dtypes", "bfloat16"},
                                               {"--rounds", "9"},
                                               {"--json", ""}};
  bool table18 = false, list = false;
};

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--table18") {
      options.table18 = true;
    } else if (name == "--list") {
      options.list = true;
    } else if (options.values.count(name) != 0 && i + 1 < argc) {
      options.values[name] = argv[++i];
    } else {
      std::fprintf(stderr, "seednorm-cuda-bench: unknown or incomplete option %s\n%s", name.c_str(), kUsage);
      std::exit(2);
    }
  }
  return options;
}

std::vector<Case> cases_of(Options options) {
  if (options.table18) {
    options.values["--widths"] = "1536";
    options.values["--rows"] = "1,1024";
    options.values["--heads"] = "1";
  }
  std::vector<Case> cases;
  for (const std::string& dtype : split(options.values["--dtypes"])) {
    const DType type = dtype == "float32"   ? DType::kFloat32
                       : dtype == "float16" ? DType::kFloat16
                                            : DType::kBFloat16;
    for (const std::string& norm : split(options.values["--norms"])) {
      for (const std::string& cols : split(options.values["--widths"])) {
        for (const std::string& rows : split(options.values["--rows"])) {
          for (const std::string& heads : split(options.values["--heads"])) {
            for (const bool backward : {false, true}) {
              const bool has_heads = seednorm::norm_info(norm).has_heads;
              if ((heads != "1" && !has_heads) || (backward && options.table18)) continue;
              cases.push_back({norm, std::stoll(rows), std::stoll(cols), std::stoll(heads), type, backward});
            }
          }
        }
      }
    }
  }
  return cases;
}

int run(int argc, char** argv) {
  const Options options = parse(argc, argv);
  const std::vector<Case> cases = cases_of(options);
  std::vector<std::string> results;
  for (const Case& c : cases) {
    std::printf("%-14s %s %-9s rows %7lld cols %6lld heads %3lld", c.norm.c_str(), c.backward ? "bwd" : "fwd",
                name_of(c.dtype), static_cast<long long>(c.rows), static_cast<long long>(c.cols),
                static_cast<long long>(c.heads));
    if (!options.list) {
      const Result r = measure(c, std::stoi(options.values.at("--rounds")));
      std::printf("  device %9.2f us  host %6.2f us  %.3f of the limit", r.device_us, r.host_us,
                  r.limit_us / r.device_us);
      results.push_back(json(r, options.table18));
    }
    std::printf("\n");
  }
  const std::string file = options.values.at("--json");
  if (file.empty() || options.list) return 0;
  std::FILE* const out = std::fopen(file.c_str(), "w");
  if (out == nullptr) throw std::runtime_error("cannot write " + file);
  std::fprintf(out, "{\"results\":[\n");
  for (size_t i = 0; i < results.size(); ++i) {
    std::fprintf(out, "%s%s\n", results[i].c_str(), i + 1 < results.size() ? "," : "");
  }
  std::fprintf(out, "]}\n");
  std::fclose(out);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "seednorm-cuda-bench: %s\n", error.what());
    return 1;
  }
}

// What `bench norm` is asked to measure.
#ifndef SEEDNORM_BENCH_NORM_OPTIONS_H_
#define SEEDNORM_BENCH_NORM_OPTIONS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "seednorm/dtype.h"

namespace seednorm::bench {

struct NormSpec {
  std::string norm;
  int64_t heads = 1;
};

struct Shape {
  int64_t rows, cols;
};

enum class Pass { kForward, kBackward };
const char* name_of(Pass pass);  // "fwd", "bwd"

// Tensors a pass moves: x and y; x, dy and dx.
constexpr int num_tensors(Pass pass) { return pass == Pass::kForward ? 2 : 3; }

struct NormOptions {
  std::vector<NormSpec> norms = {{"rms_norm", 1}, {"seed_norm", 1}, {"seed_norm", 16}};
  std::vector<DType> dtypes = {DType::kFloat32, DType::kBFloat16};
  std::vector<int64_t> widths = {1024, 2048, 4096, 8192};
  std::vector<int64_t> tensor_mb = {2, 4, 8, 256};  // MiB of one tensor
  std::vector<Pass> passes = {Pass::kForward, Pass::kBackward};
  DType param_dtype = DType::kFloat32;
  int threads = 2;
  int rounds = 15;       // at least
  double seconds = 1.5;  // a configuration, at least
  bool save_stats = false;
  bool quick = false;
  bool help = false;
  std::string simd;
  std::string json_path;

  // A comparison with another library (peer_bench.h) in place of the measurement above.
  std::string peer;          // "onednn", or empty
  std::string peer_library;  // its file
  std::vector<Shape> shapes = {{256, 1024}, {1024, 2048}, {1024, 4096}, {16384, 2048}, {8192, 4096}};
};

// Of the parameters beside data of `dtype`: float64 data allows no other.
constexpr DType param_dtype(const NormOptions& options, DType dtype) {
  return dtype == DType::kFloat64 ? dtype : options.param_dtype;
}

extern const char kNormHelp[];

// Throws std::invalid_argument: one line saying what is wrong and what to do.
NormOptions parse_norm_options(const std::vector<std::string>& args);

}  // namespace seednorm::bench

#endif  // SEEDNORM_BENCH_NORM_OPTIONS_H_

// oneDNN's layer normalization as a peer to compare with. The library is loaded at run time, so that nothing
// here depends on it; onednn.cc declares the part of its C interface (version 3) that it calls.
#ifndef SEEDNORM_BENCH_ONEDNN_H_
#define SEEDNORM_BENCH_ONEDNN_H_

#include <cstdint>
#include <memory>
#include <string>

#include "seednorm/dtype.h"

namespace seednorm::bench {

extern const char kOneDnnLibrary[];  // the file's name, "libdnnl.so.3"

// What forward and backward of one layer work on, by oneDNN's roles. R rows, D columns, all contiguous.
struct OneDnnTensors {
  const void *x, *dy;         // [R, D]
  void *y, *dx;               // [R, D]
  const float *gamma, *beta;  // [D]; beta only for LayerNorm
  float *dgamma, *dbeta;      // [D]
  float *mean, *variance;     // [R]; RMSNorm has no mean
};

struct OneDnnLayer {
  bool rms = false;  // RMSNorm in place of LayerNorm
  int64_t rows = 0, cols = 0;
  DType dtype = DType::kFloat32;  // float32 or bfloat16; parameters are float32
  float eps = 0;
};

// The loaded library with an engine on the processor and a stream.
class OneDnn {
 public:
  // Loads the file `library`. Throws std::invalid_argument with one line that says how to get oneDNN.
  explicit OneDnn(const std::string& library);
  ~OneDnn();
  OneDnn(const OneDnn&) = delete;
  OneDnn& operator=(const OneDnn&) = delete;

  std::string version() const;  // "3.13.2"

  // One layer on fixed tensors. It must not outlive its OneDnn.
  class Norm {
   public:
    // Throws std::runtime_error if this version of oneDNN does not offer the layer.
    Norm(const OneDnn& library, const OneDnnLayer& layer, const OneDnnTensors& tensors);
    ~Norm();
    Norm(const Norm&) = delete;
    Norm& operator=(const Norm&) = delete;
    void forward() const;
    void backward() const;

   private:
    struct State;
    std::unique_ptr<State> state_;
  };

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace seednorm::bench

#endif  // SEEDNORM_BENCH_ONEDNN_H_

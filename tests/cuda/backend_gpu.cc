// The kernels on a GPU: what a call reads and writes is copied to the device and back, with its strides and
// its alignment.
#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <stdexcept>
#include <string>

#include "seednorm/cuda.h"
#include "tests/support/backend.h"

namespace seednorm::test {
namespace {

void check(cudaError_t error) {
  if (error != cudaSuccess) throw std::runtime_error(cudaGetErrorString(error));
}

// Without a GPU all tests are skipped.
class NeedsGpu : public testing::Environment {
 public:
  void SetUp() override {
    int count = 0;
    if (cudaGetDeviceCount(&count) != cudaSuccess || count == 0) GTEST_SKIP() << "no GPU";
  }
};
const auto* const kNeedsGpu = testing::AddGlobalTestEnvironment(new NeedsGpu);

// Device memory for the buffers of one call. A buffer that is given twice, as in a call in place, is one.
class Mirror {
 public:
  ~Mirror() {
    for (const auto& [host, buffer] : buffers_) cudaFree(buffer.memory);
  }

  // `height` pieces of `width` bytes, `pitch` bytes apart.
  template <class P>
  P* device(P* host, int64_t height, size_t pitch, size_t width, bool output) {
    if (host == nullptr) return nullptr;
    Buffer& buffer = buffers_[host];
    buffer.output = buffer.output || output;
    if (buffer.memory == nullptr) {
      constexpr size_t kAlignment = 256;  // of cudaMalloc
      const size_t shift = reinterpret_cast<uintptr_t>(host) % kAlignment;
      const size_t bytes = height == 0 ? 0 : static_cast<size_t>(height - 1) * pitch + width;
      check(cudaMalloc(&buffer.memory, shift + bytes + 1));
      buffer.data = static_cast<char*>(buffer.memory) + shift;
      buffer.height = static_cast<size_t>(height);
      buffer.pitch = pitch;
      buffer.width = width;
      copy(buffer.data, host, buffer, cudaMemcpyHostToDevice);
    }
    return static_cast<P*>(static_cast<void*>(buffer.data));
  }
  template <class V>
  V rows(const V& v, int64_t rows, int64_t dim, bool output) {
    const size_t element = size_of(v.dtype);
    const int64_t stride = v.stride == 0 ? dim : v.stride;
    V result = v;
    result.data = device(v.data, rows, static_cast<size_t>(stride) * element,
                         static_cast<size_t>(dim) * element, output);
    return result;
  }
  template <class V>
  ParamSet<V> params(const Norm& norm, const ParamSet<V>& from, int64_t samples, bool output) {
    ParamSet<V> to;
    for (int p = 0; p < kNumParams; ++p) {
      const Param param = static_cast<Param>(p);
      const bool per_sample = norm.kind(param) == ParamKind::kPerSample;
      to[param] = rows(from[param], per_sample ? samples : 1,
                       norm.kind(param) == ParamKind::kScalar ? 1 : norm.dim(), output);
    }
    return to;
  }

  void copy_back() {
    check(cudaDeviceSynchronize());
    for (const auto& [host, buffer] : buffers_) {
      if (buffer.output) copy(const_cast<void*>(host), buffer.data, buffer, cudaMemcpyDeviceToHost);
    }
  }

 private:
  struct Buffer {
    void* memory = nullptr;
    char* data = nullptr;
    size_t height = 0, pitch = 0, width = 0;
    bool output = false;
  };
  static void copy(void* to, const void* from, const Buffer& b, cudaMemcpyKind kind) {
    if (b.height == 0 || b.width == 0) return;
    check(cudaMemcpy2D(to, b.pitch, from, b.pitch, b.width, b.height, kind));
  }

  std::map<const void*, Buffer> buffers_;
};

int64_t samples_of(int64_t rows, int64_t rows_per_sample) {
  return rows_per_sample <= 0 ? 0 : (rows + rows_per_sample - 1) / rows_per_sample;
}
size_t stats_bytes(const Norm& norm, DType data) {
  return static_cast<size_t>(norm.num_stats()) * (data == DType::kFloat64 ? 8 : 4);
}

void forward(const Norm& norm, const ForwardArgs& args, const Executor&) {
  Mirror mirror;
  ForwardArgs on_device = args;
  const size_t stats = stats_bytes(norm, args.x.dtype);
  on_device.x = mirror.rows(args.x, args.rows, norm.dim(), false);
  on_device.residual = mirror.rows(args.residual, args.rows, norm.dim(), false);
  on_device.sum = mirror.rows(args.sum, args.rows, norm.dim(), true);
  on_device.y = mirror.rows(args.y, args.rows, norm.dim(), true);
  on_device.stats = mirror.device(args.stats, args.rows, stats, stats, true);
  on_device.params = mirror.params(norm, args.params, samples_of(args.rows, args.rows_per_sample), false);
  cuda::forward(norm, on_device);
  mirror.copy_back();
}

void backward(const Norm& norm, const BackwardArgs& args, const Executor&) {
  Mirror mirror;
  BackwardArgs on_device = args;
  const size_t stats = stats_bytes(norm, args.x.dtype);
  const size_t scratch = cuda::scratch_bytes(norm, args.rows, args.x.dtype);
  const int64_t samples = samples_of(args.rows, args.rows_per_sample);
  on_device.x = mirror.rows(args.x, args.rows, norm.dim(), false);
  on_device.dy = mirror.rows(args.dy, args.rows, norm.dim(), false);
  on_device.dsum = mirror.rows(args.dsum, args.rows, norm.dim(), false);
  on_device.dx = mirror.rows(args.dx, args.rows, norm.dim(), true);
  on_device.stats = mirror.device(args.stats, args.rows, stats, stats, false);
  on_device.params = mirror.params(norm, args.params, samples, false);
  on_device.grads = mirror.params(norm, args.grads, samples, true);
  std::unique_ptr<void, cudaError_t (*)(void*)> memory(nullptr, cudaFree);
  if (args.scratch != nullptr) {
    void* on_gpu = nullptr;
    check(cudaMalloc(&on_gpu, scratch));
    memory.reset(on_gpu);
    check(cudaMemset(on_gpu, 0xFF, scratch));  // NaN, if it were read before it is written
  }
  on_device.scratch = memory.get();
  cuda::backward(norm, on_device);
  mirror.copy_back();
}

}  // namespace

const Backend kBackend = {
    .targets = []() -> std::vector<std::string> { return {"gpu"}; },
    .set_target = [](const std::string&) {},
    .scratch_bytes = cuda::scratch_bytes,
    .forward = forward,
    .backward = backward,
    .has_threads = false,
    .max_chunks = cuda::kMaxChunks,
    .repeats = 1000,
};

}  // namespace seednorm::test

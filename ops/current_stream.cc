// The stable ABI has streams as numbers; the stream itself comes from a function of libtorch_cuda. Linking
// that library would tie ours to PyTorch's builds with CUDA, so it is looked up at run time, when PyTorch has
// loaded it.
#include "ops/current_stream.h"

#include <dlfcn.h>

#include <stdexcept>
#include <string>

namespace seednorm::ops {

cuda::Stream current_stream(int32_t device_index) {
  using Get = int32_t (*)(int32_t device_index, void** stream);
  static const Get get = [] {
    void* const library = dlopen("libtorch_cuda.so", RTLD_LAZY | RTLD_NOLOAD);
    return library == nullptr ? nullptr
                              : reinterpret_cast<Get>(dlsym(library, "aoti_torch_get_current_cuda_stream"));
  }();
  void* stream = nullptr;
  if (get == nullptr || get(device_index, &stream) != 0) {
    throw std::runtime_error("[seednorm] PyTorch has no CUDA stream for device " +
                             std::to_string(device_index));
  }
  return static_cast<cuda::Stream>(stream);
}

}  // namespace seednorm::ops

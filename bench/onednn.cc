#include "bench/onednn.h"

#include <dlfcn.h>

#include <stdexcept>
#include <vector>

namespace seednorm::bench {

const char kOneDnnLibrary[] = "libdnnl.so.3";

namespace {

// ------------------------------------------------------------------ oneDNN's C interface (dnnl.h)
using Handle = void*;
using Dims = int64_t[12];
struct ExecArg {
  int arg;
  Handle memory;
};
struct Version {
  int major, minor, patch;
};
enum : int { kCpu = 1, kInOrder = 1, kBf16 = 2, kF32 = 3, kForwardTraining = 64, kBackward = 128 };
enum : unsigned { kUseScale = 0x2, kUseShift = 0x4, kRmsNorm = 0x20 };
enum Arg : int {
  kSrc = 1,
  kDst = 17,
  kMean = 49,
  kVariance = 50,
  kScale = 51,
  kShift = 52,
  kDiffSrc = 129,
  kDiffDst = 145,
  kDiffScale = 255,
  kDiffShift = 256,
};

[[noreturn]] void fail_to_load(const std::string& library, const std::string& reason) {
  throw std::invalid_argument("--peer onednn: expected oneDNN 3 in " + library + ", got: " + reason +
                              "; `python3 -m venv onednn && onednn/bin/pip install onednn` gets it, and then "
                              "set LD_LIBRARY_PATH=$PWD/"
                              "onednn/lib and OCL_ICD_FILENAMES=$PWD/onednn/lib/libintelocl.so");
}

struct Api {
  const Version* (*version)();
  int (*engine_create)(Handle*, int kind, size_t index);
  int (*engine_destroy)(Handle);
  int (*stream_create)(Handle*, Handle engine, unsigned flags);
  int (*stream_wait)(Handle);
  int (*stream_destroy)(Handle);
  int (*memory_desc_create_with_strides)(Handle*, int num_dims, const Dims, int dtype, const Dims strides);
  int (*memory_desc_destroy)(Handle);
  int (*memory_create)(Handle*, Handle desc, Handle engine, void* data);
  int (*memory_destroy)(Handle);
  int (*layer_normalization_forward_primitive_desc_create)(Handle*, Handle engine, int prop_kind, Handle src,
                                                           Handle dst, Handle stat, float eps, unsigned flags,
                                                           Handle attr);
  int (*layer_normalization_backward_primitive_desc_create)(Handle*, Handle engine, int prop_kind,
                                                            Handle diff_src, Handle diff_dst, Handle src,
                                                            Handle stat, float eps, unsigned flags,
                                                            Handle forward, Handle attr);
  int (*primitive_desc_destroy)(Handle);
  int (*primitive_create)(Handle*, Handle desc);
  int (*primitive_execute)(Handle, Handle stream, int num_args, const ExecArg*);
  int (*primitive_destroy)(Handle);

  Api(void* library, const std::string& path) {
#define SEEDNORM_LOAD(name) load(library, path, "dnnl_" #name, &(name))
    SEEDNORM_LOAD(version);
    SEEDNORM_LOAD(engine_create);
    SEEDNORM_LOAD(engine_destroy);
    SEEDNORM_LOAD(stream_create);
    SEEDNORM_LOAD(stream_wait);
    SEEDNORM_LOAD(stream_destroy);
    SEEDNORM_LOAD(memory_desc_create_with_strides);
    SEEDNORM_LOAD(memory_desc_destroy);
    SEEDNORM_LOAD(memory_create);
    SEEDNORM_LOAD(memory_destroy);
    SEEDNORM_LOAD(layer_normalization_forward_primitive_desc_create);
    SEEDNORM_LOAD(layer_normalization_backward_primitive_desc_create);
    SEEDNORM_LOAD(primitive_desc_destroy);
    SEEDNORM_LOAD(primitive_create);
    SEEDNORM_LOAD(primitive_execute);
    SEEDNORM_LOAD(primitive_destroy);
#undef SEEDNORM_LOAD
  }

 private:
  template <class Function>
  static void load(void* library, const std::string& path, const char* name, Function* function) {
    void* const found = dlsym(library, name);
    if (found == nullptr) fail_to_load(path, std::string("a library without ") + name);
    *function = reinterpret_cast<Function>(found);
  }
};

void check(int status, const char* what) {
  if (status != 0) {
    throw std::runtime_error(std::string("oneDNN: ") + what + " failed with status " +
                             std::to_string(status));
  }
}

using Destroy = int (*)(Handle);
using Owned = std::unique_ptr<void, Destroy>;

}  // namespace

// The library is never unloaded: its threads would not survive it.
struct OneDnn::State {
  Api api;
  Owned engine, stream;
};

OneDnn::OneDnn(const std::string& library) {
  void* const file = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (file == nullptr) {
    const char* const reason = dlerror();
    fail_to_load(library, reason == nullptr ? "no reason" : reason);
  }
  const Api api(file, library);
  if (api.version()->major != 3) {
    fail_to_load(library, "version " + std::to_string(api.version()->major));
  }
  Handle engine = nullptr, stream = nullptr;
  if (api.engine_create(&engine, kCpu, 0) != 0) {
    fail_to_load(library, "a library that does not offer the processor, as without OCL_ICD_FILENAMES");
  }
  Owned owned_engine(engine, api.engine_destroy);
  check(api.stream_create(&stream, engine, kInOrder), "stream_create");
  state_.reset(new State{api, std::move(owned_engine), Owned(stream, api.stream_destroy)});
}

OneDnn::~OneDnn() = default;

std::string OneDnn::version() const {
  const Version& v = *state_->api.version();
  return std::to_string(v.major) + "." + std::to_string(v.minor) + "." + std::to_string(v.patch);
}

struct OneDnn::Norm::State {
  const Api& api;
  Handle stream;
  std::vector<Owned> owned;  // descriptions, memories and primitives, destroyed in no particular order
  Handle forward = nullptr, backward = nullptr;
  std::vector<ExecArg> forward_args, backward_args;

  Handle own(Handle handle, Destroy destroy) {
    owned.emplace_back(handle, destroy);
    return handle;
  }
  Handle describe(const std::vector<int64_t>& sizes, int dtype) {
    Dims dims = {}, strides = {};
    int64_t stride = 1;
    for (size_t i = sizes.size(); i-- > 0; stride *= sizes[i]) {
      dims[i] = sizes[i];
      strides[i] = stride;
    }
    Handle desc = nullptr;
    const int num_dims = static_cast<int>(sizes.size());
    check(api.memory_desc_create_with_strides(&desc, num_dims, dims, dtype, strides), "memory_desc_create");
    return own(desc, api.memory_desc_destroy);
  }
  Handle primitive(Handle primitive_desc) {
    Handle primitive = nullptr;
    check(api.primitive_create(&primitive, primitive_desc), "primitive_create");
    return own(primitive, api.primitive_destroy);
  }
  void run(Handle primitive, const std::vector<ExecArg>& args) const {
    check(api.primitive_execute(primitive, stream, static_cast<int>(args.size()), args.data()), "execute");
    check(api.stream_wait(stream), "stream_wait");
  }
};

OneDnn::Norm::Norm(const OneDnn& library, const OneDnnLayer& layer, const OneDnnTensors& t) {
  const Api& api = library.state_->api;
  const Handle engine = library.state_->engine.get();
  state_.reset(new State{api, library.state_->stream.get(), {}, nullptr, nullptr, {}, {}});
  State& s = *state_;
  const Handle data = s.describe({layer.rows, layer.cols}, layer.dtype == DType::kBFloat16 ? kBf16 : kF32);
  const Handle stats = s.describe({layer.rows}, kF32), params = s.describe({layer.cols}, kF32);

  const unsigned flags = kUseScale | (layer.rms ? kRmsNorm : kUseShift);
  Handle forward = nullptr, backward = nullptr;
  check(api.layer_normalization_forward_primitive_desc_create(&forward, engine, kForwardTraining, data, data,
                                                              stats, layer.eps, flags, nullptr),
        layer.rms ? "RMSNorm forward, which newer versions have," : "LayerNorm forward");
  s.own(forward, api.primitive_desc_destroy);
  check(api.layer_normalization_backward_primitive_desc_create(&backward, engine, kBackward, data, data, data,
                                                               stats, layer.eps, flags, forward, nullptr),
        layer.rms ? "RMSNorm backward" : "LayerNorm backward");
  s.own(backward, api.primitive_desc_destroy);
  s.forward = s.primitive(forward);
  s.backward = s.primitive(backward);

  const auto memory = [&](Handle desc, const void* values) {
    Handle handle = nullptr;
    check(api.memory_create(&handle, desc, engine, const_cast<void*>(values)), "memory_create");
    return s.own(handle, api.memory_destroy);
  };
  const ExecArg x{kSrc, memory(data, t.x)}, mean{kMean, memory(stats, t.mean)},
      variance{kVariance, memory(stats, t.variance)}, scale{kScale, memory(params, t.gamma)};
  s.forward_args = {x, {kDst, memory(data, t.y)}, mean, variance, scale};
  s.backward_args = {
      x,     {kDiffDst, memory(data, t.dy)},        {kDiffSrc, memory(data, t.dx)}, mean, variance,
      scale, {kDiffScale, memory(params, t.dgamma)}};
  if (!layer.rms) {
    s.forward_args.push_back({kShift, memory(params, t.beta)});
    s.backward_args.push_back({kDiffShift, memory(params, t.dbeta)});
  }
}

OneDnn::Norm::~Norm() = default;
void OneDnn::Norm::forward() const { state_->run(state_->forward, state_->forward_args); }
void OneDnn::Norm::backward() const { state_->run(state_->backward, state_->backward_args); }

}  // namespace seednorm::bench

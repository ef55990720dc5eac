// torch.ops.seednorm.*: the operators of every norm through PyTorch's stable ABI, so that one library serves
// every PyTorch from the version it targets on; on the CPU, and on GPUs where the build has CUDA. Meta
// functions and autograd are in python/seednorm.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <span>
#include <stdexcept>
#include <vector>

#include "ops/call.h"
#ifdef SEEDNORM_WITH_CUDA
#include <torch/csrc/stable/accelerator.h>

#include "ops/current_stream.h"
#include "seednorm/cuda.h"
#endif

namespace seednorm::ops {
namespace {

using torch::stable::Tensor;

void check_status(AOTITorchError error) {
  if (error != AOTI_TORCH_SUCCESS) throw std::runtime_error("[seednorm] PyTorch refused a tensor operation");
}

// An optional tensor argument, with what is read of it more than once.
struct Arg {
  std::optional<Tensor> tensor;
  TensorInfo info;
};

// A dtype of PyTorch: its number, its name, and our own if the kernels have it.
struct TorchDType {
  int32_t code;
  const char* name;
  std::optional<DType> dtype;
};
TorchDType torch_dtype(int32_t code) {
  static const TorchDType kAll[] = {
      {aoti_torch_dtype_float32(), "float32", DType::kFloat32},
      {aoti_torch_dtype_bfloat16(), "bfloat16", DType::kBFloat16},
      {aoti_torch_dtype_float16(), "float16", DType::kFloat16},
      {aoti_torch_dtype_float64(), "float64", DType::kFloat64},
      {aoti_torch_dtype_int64(), "int64", {}},
      {aoti_torch_dtype_int32(), "int32", {}},
      {aoti_torch_dtype_int16(), "int16", {}},
      {aoti_torch_dtype_int8(), "int8", {}},
      {aoti_torch_dtype_uint8(), "uint8", {}},
      {aoti_torch_dtype_bool(), "bool", {}},
      {aoti_torch_dtype_complex64(), "complex64", {}},
      {aoti_torch_dtype_complex128(), "complex128", {}},
  };
  for (const TorchDType& entry : kAll) {
    if (entry.code == code) return entry;
  }
  return {code, "another dtype", {}};
}

int32_t dtype_code(DType dtype) {
  switch (dtype) {
    case DType::kFloat32:
      return aoti_torch_dtype_float32();
    case DType::kBFloat16:
      return aoti_torch_dtype_bfloat16();
    case DType::kFloat16:
      return aoti_torch_dtype_float16();
    case DType::kFloat64:
      break;
  }
  return aoti_torch_dtype_float64();
}

TensorInfo info_of(const Tensor& t) {
  int64_t* sizes = nullptr;
  int64_t ndim = 0;
  int32_t dtype = 0, device = 0, device_index = 0;
  check_status(aoti_torch_get_sizes(t.get(), &sizes));
  check_status(aoti_torch_get_dim(t.get(), &ndim));
  check_status(aoti_torch_get_dtype(t.get(), &dtype));
  check_status(aoti_torch_get_device_type(t.get(), &device));
  check_status(aoti_torch_get_device_index(t.get(), &device_index));
  const char* const where = device == aoti_torch_device_type_cpu()    ? "cpu"
                            : device == aoti_torch_device_type_cuda() ? "cuda"
                            : device == aoti_torch_device_type_meta() ? "meta"
                                                                      : "another device";
  const TorchDType known = torch_dtype(dtype);
  return {true, ndim, sizes, known.dtype, known.name, where, device_index};
}

// Takes the arguments off PyTorch's stack, in the order of the schema.
struct Reader {
  StableIValue*& next;
  void operator()(const char* type, const char*, const char*, Arg& a) const {
    const StableIValue value = *next++;
    a.tensor = std::strcmp(type, "Tensor?") == 0 ? torch::stable::detail::to<std::optional<Tensor>>(value)
                                                 : torch::stable::detail::to<Tensor>(value);
    if (a.tensor) a.info = info_of(*a.tensor);
  }
  template <class T>
  void operator()(const char*, const char*, const char*, T& value) const {
    value = torch::stable::detail::to<T>(*next++);
  }
};

Arguments<Arg> read(const NormInfo& info, Kind kind, StableIValue* stack) {
  Arguments<Arg> args;
  visit_arguments(info, kind, args, Reader{stack});
  return args;
}

Call checked(const NormInfo& info, Kind kind, const Arguments<Arg>& a) {
  Arguments<TensorInfo> t{.x = a.x.info,
                          .residual = a.residual.info,
                          .dy = a.dy.info,
                          .stats = a.stats.info,
                          .dsum = a.dsum.info,
                          .num_heads = a.num_heads,
                          .eps = a.eps,
                          .sigma = a.sigma,
                          .dot_scale = a.dot_scale,
                          .plus_one = a.plus_one,
                          .elementwise = a.elementwise,
                          .dropout = a.dropout,
                          .seed = a.seed.info};
  for (int p = 0; p < kNumParams; ++p) t.params[static_cast<Param>(p)] = a.params[static_cast<Param>(p)].info;
  return check_call(info, kind, t);
}

std::span<const int64_t> sizes_of(const TensorInfo& t) { return {t.sizes, static_cast<size_t>(t.ndim)}; }
constexpr int64_t kNoElements[] = {0};

// Where the tensors of a call are.
struct Place {
  bool on_gpu;
  int32_t index;

  explicit Place(const TensorInfo& t) : on_gpu(std::strcmp(t.device, "cuda") == 0), index(t.device_index) {}

  // A new contiguous tensor.
  Tensor empty(std::span<const int64_t> sizes, int32_t dtype) const {
    std::vector<int64_t> strides(sizes.size());  // a tensor may have any number of dimensions
    int64_t stride = 1;
    for (size_t i = sizes.size(); i-- > 0;) {
      strides[i] = stride;
      stride *= std::max<int64_t>(sizes[i], 1);
    }
    const int32_t type = on_gpu ? aoti_torch_device_type_cuda() : aoti_torch_device_type_cpu();
    AtenTensorHandle handle = nullptr;
    check_status(aoti_torch_empty_strided(static_cast<int64_t>(sizes.size()), sizes.data(), strides.data(),
                                          dtype, type, index, &handle));
    return Tensor(handle);
  }
};

// Elements between neighbouring rows of t, or 0 if the distances differ or rows overlap.
int64_t row_stride(const Tensor& t, int64_t ndim, const int64_t* sizes) {
  const auto strides = t.strides();
  const int64_t dim = sizes[ndim - 1];
  if (dim > 1 && strides[ndim - 1] != 1) return 0;
  int64_t row = 0, next = 0;  // of the rows, and where the next outer dimension must step
  for (int64_t i = ndim - 2; i >= 0; --i) {
    if (sizes[i] == 0) return dim;
    if (sizes[i] == 1) continue;
    if (row == 0) row = next = strides[i];
    if (strides[i] != next || row < dim) return 0;
    next *= sizes[i];
  }
  return row == 0 ? dim : row;
}

// The rows of a. Rows without a common stride are copied, and the copy is kept in a.
ConstView rows(Arg& a, DType dtype) {
  if (!a.tensor) return {};
  int64_t stride = row_stride(*a.tensor, a.info.ndim, a.info.sizes);
  if (stride == 0) {
    a.tensor = torch::stable::contiguous(*a.tensor);
    a.info = info_of(*a.tensor);
    stride = a.info.sizes[a.info.ndim - 1];
  }
  return {a.tensor->const_data_ptr(), dtype, stride};
}

// [B, 1, D] beside [B, N, D] is read as [B, D]; rows() copies what has odd strides.
Params params_of(const NormInfo& info, Arguments<Arg>& a) {
  Params params;
  for (const NormParamInfo& p : info.params()) {
    Arg& arg = a.params[p.param];
    if (arg.tensor) params[p.param] = rows(arg, *arg.info.dtype);
  }
  return params;
}

// PyTorch's own threads.
Executor torch_executor() {
  const auto run = [](void*, int64_t num_tasks, void (*task)(void* arg, int64_t i), void* arg) {
    torch::stable::parallel_for(0, num_tasks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) task(arg, i);
    });
  };
  return {run, nullptr, static_cast<int>(torch::stable::get_num_threads())};
}

// Seed and offset of dropout: the numbers, or where they are on the GPU, since reading them would wait for
// it.
struct Dropout {
  bool active = false;
  uint64_t seed = 0, offset = 0;
  const uint64_t* on_gpu = nullptr;
};
Dropout dropout_of(Arguments<Arg>& a, const Place& place) {
  if (!a.seed.tensor || a.dropout == 0) return {};
  if (!a.seed.tensor->is_contiguous()) a.seed.tensor = torch::stable::contiguous(*a.seed.tensor);
  const auto* const words = static_cast<const uint64_t*>(a.seed.tensor->const_data_ptr());
  if (place.on_gpu) return {true, 0, 0, words};
  return {true, words[0], words[1]};
}

void run(const Norm& norm, const ForwardArgs& args, const Place& place,
         [[maybe_unused]] const Dropout& dropout) {
  if (!place.on_gpu) return norm.forward(args, torch_executor());
#ifdef SEEDNORM_WITH_CUDA
  const torch::stable::accelerator::DeviceGuard guard(place.index);
  cuda::forward(norm, args, {.stream = current_stream(place.index), .seed = dropout.on_gpu});
#endif
}
void run(const Norm& norm, const BackwardArgs& args, const Place& place,
         [[maybe_unused]] const Dropout& dropout) {
  if (!place.on_gpu) return norm.backward(args, torch_executor());
#ifdef SEEDNORM_WITH_CUDA
  const torch::stable::accelerator::DeviceGuard guard(place.index);
  cuda::backward(norm, args, {.stream = current_stream(place.index), .seed = dropout.on_gpu});
#endif
}
size_t scratch_bytes(const Call& call, [[maybe_unused]] const Place& place) {
#ifdef SEEDNORM_WITH_CUDA
  if (place.on_gpu) return cuda::scratch_bytes(call.norm, call.rows, call.dtype);
#endif
  return call.norm.scratch_bytes(call.rows, call.dtype);
}

void give(StableIValue*& out, const Tensor& t) { *out++ = torch::stable::detail::from(t); }

void forward(const NormInfo& info, Kind kind, StableIValue* stack) {
  Arguments<Arg> a = read(info, kind, stack);
  const Call call = checked(info, kind, a);
  const TensorInfo shape = a.x.info;  // of x as it came
  const Place place(shape);
  const Tensor y = place.empty(sizes_of(shape), dtype_code(call.dtype));
  std::optional<Tensor> sum;
  if (kind == Kind::kAddForward) sum = place.empty(sizes_of(shape), dtype_code(call.dtype));

  const DType wide = call.dtype == DType::kFloat64 ? DType::kFloat64 : DType::kFloat32;
  std::vector<int64_t> stats_sizes = {0};
  if (a.keep_stats) {
    stats_sizes.assign(shape.sizes, shape.sizes + shape.ndim);
    stats_sizes.back() = call.norm.num_stats();
  }
  const Tensor stats = place.empty(stats_sizes, dtype_code(wide));

  const Dropout dropout = dropout_of(a, place);
  run(call.norm,
      ForwardArgs{.rows = call.rows,
                  .x = rows(a.x, call.dtype),
                  .y = {y.mutable_data_ptr(), call.dtype},
                  .params = params_of(info, a),
                  .stats = a.keep_stats ? stats.mutable_data_ptr() : nullptr,
                  .residual = rows(a.residual, call.dtype),
                  .sum = sum ? View{sum->mutable_data_ptr(), call.dtype} : View{},
                  .rows_per_sample = call.rows_per_sample,
                  .training = dropout.active,
                  .seed = dropout.seed,
                  .offset = dropout.offset},
      place, dropout);
  give(stack, y);
  if (sum) give(stack, *sum);
  give(stack, stats);
}

void backward(const NormInfo& info, StableIValue* stack) {
  Arguments<Arg> a = read(info, Kind::kBackward, stack);
  const Call call = checked(info, Kind::kBackward, a);
  const Place place(a.x.info);
  const Tensor dx = place.empty(sizes_of(a.x.info), dtype_code(call.dtype));

  ParamGrads grads;
  std::vector<Tensor> outputs;
  bool wanted = false;
  for (const NormParamInfo& p : info.params()) {
    const Arg& arg = a.params[p.param];
    if (!arg.tensor || (a.wanted >> outputs.size() & 1) == 0) {
      outputs.push_back(place.empty(kNoElements, dtype_code(call.dtype)));
      continue;
    }
    outputs.push_back(place.empty(sizes_of(arg.info), dtype_code(*arg.info.dtype)));
    grads[p.param] = {outputs.back().mutable_data_ptr(), *arg.info.dtype};
    wanted = true;
    // Without rows the core does not know how many samples there are.
    if (call.rows == 0) torch::stable::zero_(outputs.back());
  }
  std::optional<Tensor> scratch;
  if (wanted) {
    const int64_t bytes[] = {static_cast<int64_t>(scratch_bytes(call, place))};
    scratch = place.empty(bytes, aoti_torch_dtype_uint8());
  }
  if (!a.stats.tensor->is_contiguous()) a.stats.tensor = torch::stable::contiguous(*a.stats.tensor);

  const Dropout dropout = dropout_of(a, place);
  run(call.norm,
      BackwardArgs{.rows = call.rows,
                   .x = rows(a.x, call.dtype),
                   .dy = rows(a.dy, call.dtype),
                   .dx = {dx.mutable_data_ptr(), call.dtype},
                   .dsum = rows(a.dsum, call.dtype),
                   .params = params_of(info, a),
                   .grads = grads,
                   .stats = a.stats.tensor->const_data_ptr(),
                   .scratch = scratch ? scratch->mutable_data_ptr() : nullptr,
                   .rows_per_sample = call.rows_per_sample,
                   .training = dropout.active,
                   .seed = dropout.seed,
                   .offset = dropout.offset},
      place, dropout);
  give(stack, dx);
  for (const Tensor& output : outputs) give(stack, output);
}

// PyTorch calls plain functions, so each norm has three of its own, which only say which norm it is.
struct Operators {
  const NormInfo* info;
  void (*functions[kNumKinds])(StableIValue*, uint64_t, uint64_t);  // by Kind
};

#define SEEDNORM_NORM(norm_name)                                                               \
  Operators norm_name##_operators() {                                                          \
    static const NormInfo& info = norm_info(#norm_name);                                       \
    return {&info,                                                                             \
            {[](StableIValue* s, uint64_t, uint64_t) { forward(info, Kind::kForward, s); },    \
             [](StableIValue* s, uint64_t, uint64_t) { forward(info, Kind::kAddForward, s); }, \
             [](StableIValue* s, uint64_t, uint64_t) { backward(info, s); }}};                 \
  }
#include "core/norms/norms.def"
#undef SEEDNORM_NORM

// Calls visit(info, kind, function) for each operator there is.
template <class Visit>
void for_each_operator(const Visit& visit) {
  const Operators all[] = {
#define SEEDNORM_NORM(norm_name) norm_name##_operators(),
#include "core/norms/norms.def"
#undef SEEDNORM_NORM
  };
  for (const Operators& norm : all) {
    for (int i = 0; i < kNumKinds; ++i) {
      const auto kind = static_cast<Kind>(i);
      if (kind == Kind::kAddForward && !norm.info->has_residual_add) continue;
      visit(*norm.info, kind, norm.functions[i]);
    }
  }
}

// The same functions serve every kind of device: they look where x is.
template <class Library>
void implement(Library& library) {
  for_each_operator([&](const NormInfo& info, Kind kind, auto f) {
    const std::string text = schema(info, kind);
    library.impl(text.substr(0, text.find('(')).c_str(), f);
  });
}

}  // namespace
}  // namespace seednorm::ops

STABLE_TORCH_LIBRARY(seednorm, m) {
  seednorm::ops::for_each_operator([&](const seednorm::NormInfo& info, seednorm::ops::Kind kind, auto) {
    m.def(schema(info, kind).c_str());
  });
}

STABLE_TORCH_LIBRARY_IMPL(seednorm, CPU, m) { seednorm::ops::implement(m); }
#ifdef SEEDNORM_WITH_CUDA
STABLE_TORCH_LIBRARY_IMPL(seednorm, CUDA, m) { seednorm::ops::implement(m); }
#endif

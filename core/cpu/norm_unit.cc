// One norm's kernels for every SIMD target. The build compiles this file once for each line of
// core/norms/norms.def, with SEEDNORM_NORM_NAME and SEEDNORM_NORM_FILE set.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/cpu/norm_unit.cc"
// clang-format off
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>
// clang-format on

#include SEEDNORM_NORM_FILE

HWY_BEFORE_NAMESPACE();
namespace seednorm::SEEDNORM_NORM_NAME::HWY_NAMESPACE {

void forward(const KernelArgs& args, int64_t begin, int64_t end) {
  switch (args.dtype) {
    case DType::kFloat32:
      return forward_typed<float>(args, begin, end);
    case DType::kBFloat16:
      return forward_typed<BFloat16>(args, begin, end);
    case DType::kFloat16:
      return forward_typed<Float16>(args, begin, end);
    case DType::kFloat64:
      return forward_typed<double>(args, begin, end);
  }
}

void backward(const KernelArgs& args, int64_t begin, int64_t end, int64_t chunk) {
  switch (args.dtype) {
    case DType::kFloat32:
      return backward_typed<float>(args, begin, end, chunk);
    case DType::kBFloat16:
      return backward_typed<BFloat16>(args, begin, end, chunk);
    case DType::kFloat16:
      return backward_typed<Float16>(args, begin, end, chunk);
    case DType::kFloat64:
      return backward_typed<double>(args, begin, end, chunk);
  }
}

void finish(const KernelArgs& args, const Slots& slots, int64_t num_chunks, int64_t slot) {
  switch (args.dtype) {
    case DType::kBFloat16:
      return finish_slot<BFloat16>(args, slots, num_chunks, slot);
    case DType::kFloat64:
      return finish_slot<double>(args, slots, num_chunks, slot);
    default:
      return finish_slot<float>(args, slots, num_chunks, slot);
  }
}

}  // namespace seednorm::SEEDNORM_NORM_NAME::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace seednorm::SEEDNORM_NORM_NAME {

HWY_EXPORT(forward);
HWY_EXPORT(backward);
HWY_EXPORT(finish);

// What the registry takes from the norm.
NormInfo registered_info() {
  static const NormKernels table = {
      [](const KernelArgs& args, int64_t begin, int64_t end) {
        HWY_DYNAMIC_DISPATCH(forward)(args, begin, end);
      },
      [](const KernelArgs& args, int64_t begin, int64_t end, int64_t chunk) {
        HWY_DYNAMIC_DISPATCH(backward)(args, begin, end, chunk);
      },
      [](const KernelArgs& args, const Slots& slots, int64_t num_chunks, int64_t slot) {
        HWY_DYNAMIC_DISPATCH(finish)(args, slots, num_chunks, slot);
      }};
  NormInfo result = info();
  result.kernels = &table;
  return result;
}

}  // namespace seednorm::SEEDNORM_NORM_NAME
#endif  // HWY_ONCE

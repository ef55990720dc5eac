// Element types and row views.
#ifndef SEEDNORM_DTYPE_H_
#define SEEDNORM_DTYPE_H_

#include <cstddef>
#include <cstdint>

namespace seednorm {

// Element type of data, parameters and gradients. The values are part of the C ABI.
enum class DType : int32_t {
  kFloat32 = 0,
  kBFloat16 = 1,  // upper half of a float32, stored as uint16_t bits
  kFloat16 = 2,   // IEEE 754 binary16, stored as uint16_t bits
  kFloat64 = 3,
};

// Bytes of one element.
constexpr size_t size_of(DType dtype) {
  return dtype == DType::kFloat64 ? 8 : dtype == DType::kFloat32 ? 4 : 2;
}

constexpr int kNumDTypes = 4;
// "float32", "bfloat16", "float16", "float64".
const char* name_of(DType dtype);

// Storage types for 16-bit formats. They are plain bits; any type of the same layout may be cast to them.
struct BFloat16 {
  uint16_t bits;
};
struct Float16 {
  uint16_t bits;
};

template <class T>
struct DTypeOf;
template <>
struct DTypeOf<float> {
  static constexpr DType value = DType::kFloat32;
};
template <>
struct DTypeOf<BFloat16> {
  static constexpr DType value = DType::kBFloat16;
};
template <>
struct DTypeOf<Float16> {
  static constexpr DType value = DType::kFloat16;
};
template <>
struct DTypeOf<double> {
  static constexpr DType value = DType::kFloat64;
};

// Rows of equal width in memory that the caller owns. `stride` is the distance between the starts of
// neighbouring rows in elements; 0 means contiguous (the layer's width). A stride may be larger
// than the width (a slice of a wider tensor); elements of a row are adjacent. Rows need no more
// alignment than loads of single elements do.
struct ConstView {
  const void* data = nullptr;
  DType dtype = DType::kFloat32;
  int64_t stride = 0;
  explicit operator bool() const { return data != nullptr; }
};

struct View {
  void* data = nullptr;
  DType dtype = DType::kFloat32;
  int64_t stride = 0;
  explicit operator bool() const { return data != nullptr; }
  operator ConstView() const { return {data, dtype, stride}; }  // NOLINT: a view may always be read
};

template <class T>
ConstView view(const T* data, int64_t stride = 0) {
  return {data, DTypeOf<T>::value, stride};
}
template <class T>
View view(T* data, int64_t stride = 0) {
  return {data, DTypeOf<T>::value, stride};
}

}  // namespace seednorm

#endif  // SEEDNORM_DTYPE_H_

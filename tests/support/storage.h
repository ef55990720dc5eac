// Tensors in the types under test, laid out as badly as the interface allows and guarded on all sides.
#ifndef SEEDNORM_TESTS_SUPPORT_STORAGE_H_
#define SEEDNORM_TESTS_SUPPORT_STORAGE_H_

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <new>
#include <utility>
#include <vector>

#include "seednorm/dtype.h"

namespace seednorm::test {

// Bits of the significand and exponents of the smallest subnormal and of the overflow threshold.
struct Format {
  int digits, smallest, overflow;
};
constexpr Format format_of(DType dtype) {
  switch (dtype) {
    case DType::kFloat32:
      return {24, -149, 128};
    case DType::kBFloat16:
      return {8, -133, 128};
    case DType::kFloat16:
      return {11, -24, 16};
    case DType::kFloat64:
      break;
  }
  return {53, -1074, 1024};
}

// Nearest number of the type, ties to even, subnormals kept, Inf beyond the range.
inline double round_to(DType dtype, double v) {
  const Format format = format_of(dtype);
  if (dtype == DType::kFloat64 || v == 0 || !std::isfinite(v)) return v;
  int exponent = 0;
  std::frexp(v, &exponent);
  const int ulp = std::max(exponent - format.digits, format.smallest);
  const double result = std::ldexp(std::nearbyint(std::ldexp(v, -ulp)), ulp);
  if (std::fabs(result) < std::ldexp(1.0, format.overflow)) return result;
  return std::copysign(std::numeric_limits<double>::infinity(), v);
}

// Not inlined: where the size of the object is known, compilers warn about the cases of other sizes.
[[gnu::noinline]] inline double load(DType dtype, const void* from) {
  uint16_t bits = 0;
  if (size_of(dtype) == 2) std::memcpy(&bits, from, 2);
  switch (dtype) {
    case DType::kFloat32: {
      float v = 0;
      std::memcpy(&v, from, sizeof v);
      return v;
    }
    case DType::kBFloat16:
      return std::bit_cast<float>(uint32_t{bits} << 16);
    case DType::kFloat16: {
      const int exponent = bits >> 10 & 31, fraction = bits & 1023;
      const double sign = bits >> 15 ? -1 : 1;
      if (exponent == 31) return fraction ? std::numeric_limits<double>::quiet_NaN() : sign * INFINITY;
      return sign * std::ldexp(exponent ? 1024 + fraction : fraction, std::max(exponent, 1) - 25);
    }
    case DType::kFloat64:
      break;
  }
  double v = 0;
  std::memcpy(&v, from, sizeof v);
  return v;
}

[[gnu::noinline]] inline void store(DType dtype, double v, void* to) {
  const double rounded = round_to(dtype, v);
  if (dtype == DType::kFloat64) {
    std::memcpy(to, &rounded, 8);
    return;
  }
  const float single = static_cast<float>(rounded);
  if (dtype == DType::kFloat32) {
    std::memcpy(to, &single, 4);
    return;
  }
  const uint32_t word = std::bit_cast<uint32_t>(single);
  uint16_t bits = static_cast<uint16_t>(word >> 16);
  if (dtype == DType::kFloat16) {
    const double magnitude = std::fabs(rounded);
    int value = 0x7E00;  // NaN
    if (std::isinf(rounded)) {
      value = 0x7C00;
    } else if (magnitude < 0x1p-14) {
      value = static_cast<int>(std::ldexp(magnitude, 24));
    } else if (magnitude < 65536) {
      const int exponent = std::ilogb(magnitude);
      value = ((exponent + 14) << 10) + static_cast<int>(std::ldexp(magnitude, 10 - exponent));
    }
    bits = static_cast<uint16_t>(value | (std::signbit(rounded) ? 0x8000 : 0));
  }
  std::memcpy(to, &bits, 2);
}

// Where the first element lies.
enum class Place {
  kAligned,      // on a cache line
  kOneOff,       // one element after it
  kEndOfMemory,  // so that the last element is the last of a page and the next page cannot be read
};

// [rows, cols] of a type. Everything around and between the rows is 0xFF, a NaN in all types: what reads it
// shows in the results, what writes it in intact().
class Rows {
 public:
  Rows() = default;
  Rows(DType dtype, int64_t rows, int64_t cols, int64_t gap = 0, Place place = Place::kEndOfMemory)
      : dtype_(dtype), rows_(rows), cols_(cols), stride_(cols + gap) {
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE)), element = size_of(dtype);
    const size_t used = rows == 0 ? 0 : static_cast<size_t>((rows - 1) * stride_ + cols) * element;
    const size_t readable = (used + 4 * kLine + page - 1) / page * page;
    mapped_ = readable + page;
    void* memory = mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    memory_ = static_cast<unsigned char*>(memory);
    end_ = memory_ + readable;
    std::memset(memory_, kGuard, readable);
    mprotect(end_, page, PROT_NONE);
    data_ = place == Place::kEndOfMemory ? end_ - used
                                         : memory_ + kLine + (place == Place::kOneOff ? element : 0);
  }
  Rows(Rows&& other) noexcept { swap(other); }
  Rows& operator=(Rows&& other) noexcept {
    swap(other);
    return *this;
  }
  ~Rows() {
    if (memory_ != nullptr) munmap(memory_, mapped_);
  }

  explicit operator bool() const { return memory_ != nullptr; }
  DType dtype() const { return dtype_; }
  int64_t rows() const { return rows_; }
  int64_t cols() const { return cols_; }
  void* data() const { return data_; }
  View view() const { return {data_, dtype_, stride_}; }
  const void* bytes(int64_t row) const { return at(row, 0); }

  double get(int64_t row, int64_t col) const { return load(dtype_, at(row, col)); }
  void set(int64_t row, int64_t col, double v) { store(dtype_, v, at(row, col)); }
  // With these rows, over and over.
  void fill(const std::vector<double>& values) {
    const int64_t size = std::min(static_cast<int64_t>(values.size()), rows_ * cols_);
    for (int64_t i = 0; i < size; ++i) set(i / cols_, i % cols_, values[static_cast<size_t>(i)]);
    const int64_t period = size / cols_;
    for (int64_t row = period; row < rows_; ++row) {
      std::memcpy(at(row, 0), at(row - period, 0), static_cast<size_t>(cols_) * size_of(dtype_));
    }
  }
  bool holds(const std::vector<double>& values) const {
    for (int64_t i = 0; i < rows_ * cols_; ++i) {
      if (!(get(i / cols_, i % cols_) == values[static_cast<size_t>(i)])) return false;
    }
    return true;
  }
  bool same_bits(const Rows& other, int64_t row) const {
    return std::memcmp(at(row, 0), other.at(row, 0), static_cast<size_t>(cols_) * size_of(dtype_)) == 0;
  }

  // Nothing around the elements was written.
  bool intact() const {
    if (memory_ == nullptr) return true;
    const unsigned char* gap = memory_;
    for (int64_t row = 0; row < rows_; ++row) {
      if (!untouched(gap, at(row, 0))) return false;
      gap = at(row, 0) + static_cast<size_t>(cols_) * size_of(dtype_);
    }
    return untouched(gap, end_);
  }
  // Nor were they.
  bool untouched() const { return untouched(memory_, end_); }

 private:
  static constexpr unsigned char kGuard = 0xFF;
  static constexpr size_t kLine = 64;

  static bool untouched(const unsigned char* begin, const unsigned char* end) {
    for (; begin < end; ++begin) {
      if (*begin != kGuard) return false;
    }
    return true;
  }
  unsigned char* at(int64_t row, int64_t col) const {
    return data_ + static_cast<size_t>(row * stride_ + col) * size_of(dtype_);
  }
  void swap(Rows& other) {
    std::swap(dtype_, other.dtype_);
    std::swap(rows_, other.rows_);
    std::swap(cols_, other.cols_);
    std::swap(stride_, other.stride_);
    std::swap(mapped_, other.mapped_);
    std::swap(memory_, other.memory_);
    std::swap(end_, other.end_);
    std::swap(data_, other.data_);
  }

  DType dtype_ = DType::kFloat32;
  int64_t rows_ = 0, cols_ = 0, stride_ = 0;
  size_t mapped_ = 0;
  unsigned char* memory_ = nullptr;
  unsigned char* end_ = nullptr;
  unsigned char* data_ = nullptr;
};

inline bool same_bits(const Rows& a, const Rows& b) {
  for (int64_t row = 0; row < a.rows(); ++row) {
    if (!a.same_bits(b, row)) return false;
  }
  return a.rows() == b.rows();
}

}  // namespace seednorm::test

#endif  // SEEDNORM_TESTS_SUPPORT_STORAGE_H_

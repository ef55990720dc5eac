// The primitives of the kernels, which process 16 bytes of a row at a time, in the data's dtype in memory and
// in float (double for double) in registers.
//
// All of this also compiles for a host, where the tests run the threads of a block in turns (tests/cuda).
// Only code under __CUDA_ARCH__ is specific to the GPU.
#ifndef SEEDNORM_CORE_CUDA_DEVICE_CUH_
#define SEEDNORM_CORE_CUDA_DEVICE_CUH_

#ifdef __CUDACC__
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>
#endif

#include <cmath>
#include <cstdint>
#include <type_traits>

#include "core/kernel/half.h"
#include "core/kernel/kernel_args.h"

#ifdef __CUDACC__
#define SEEDNORM_DEVICE __device__ __forceinline__
#else
#define SEEDNORM_DEVICE inline
#endif

namespace seednorm::cuda {

// The type of arithmetic.
template <class T>
using Acc = std::conditional_t<std::is_same_v<T, double>, double, float>;

// The number of columns in 16 bytes, the widest access of a thread. A row is cut into vectors of this length
// from its first column on, whatever its address, so that the assignment of sums to threads depends only on
// width and dtype.
template <class T>
constexpr int kCols = 16 / sizeof(T);

// A vector in memory, and a vector for arithmetic.
struct alignas(16) Raw {
  uint32_t word[4];
};
template <class T>
struct Vec {
  Acc<T> at[kCols<T>];
};

SEEDNORM_DEVICE bool is_aligned(const void* p) { return reinterpret_cast<uintptr_t>(p) % sizeof(Raw) == 0; }

// --- Conversions ---

// Two 16-bit numbers in a word, the first one in the lower half.
SEEDNORM_DEVICE void widen(uint32_t word, BFloat16, float& first, float& second) {
  first = __builtin_bit_cast(float, word << 16);
  second = __builtin_bit_cast(float, word & 0xFFFF0000u);
}
SEEDNORM_DEVICE void widen(uint32_t word, Float16, float& first, float& second) {
#ifdef __CUDA_ARCH__
  const float2 both = __half22float2(reinterpret_cast<const __half2&>(word));
  first = both.x;
  second = both.y;
#else
  first = half_to_float(static_cast<uint16_t>(word));
  second = half_to_float(static_cast<uint16_t>(word >> 16));
#endif
}

// Rounds to nearest, ties to even.
SEEDNORM_DEVICE uint32_t narrow(BFloat16, float first, float second) {
#ifdef __CUDA_ARCH__
  const __nv_bfloat162 both = __floats2bfloat162_rn(first, second);
  return reinterpret_cast<const uint32_t&>(both);
#else
  return float_to_bfloat16(first) | static_cast<uint32_t>(float_to_bfloat16(second)) << 16;
#endif
}
SEEDNORM_DEVICE uint32_t narrow(Float16, float first, float second) {
#ifdef __CUDA_ARCH__
  const __half2 both = __floats2half2_rn(first, second);
  return reinterpret_cast<const uint32_t&>(both);
#else
  return float_to_half(first) | static_cast<uint32_t>(float_to_half(second)) << 16;
#endif
}

template <class T>
SEEDNORM_DEVICE Vec<T> unpack(const Raw& raw) {
  if constexpr (sizeof(T) == 2) {
    Vec<T> v;
#pragma unroll
    for (int i = 0; i < 4; ++i) widen(raw.word[i], T{}, v.at[2 * i], v.at[2 * i + 1]);
    return v;
  } else {
    return __builtin_bit_cast(Vec<T>, raw);
  }
}
template <class T>
SEEDNORM_DEVICE Raw pack(const Vec<T>& v) {
  if constexpr (sizeof(T) == 2) {
    Raw raw;
#pragma unroll
    for (int i = 0; i < 4; ++i) raw.word[i] = narrow(T{}, v.at[2 * i], v.at[2 * i + 1]);
    return raw;
  } else {
    return __builtin_bit_cast(Raw, v);
  }
}

template <class A>
SEEDNORM_DEVICE A element_of(const void* data, DType dtype, int64_t i) {
  float first = 0, second = 0;
  switch (dtype) {
    case DType::kBFloat16:
      widen(static_cast<const uint16_t*>(data)[i], BFloat16{}, first, second);
      return first;
    case DType::kFloat16:
      widen(static_cast<const uint16_t*>(data)[i], Float16{}, first, second);
      return first;
    case DType::kFloat64:
      return static_cast<A>(static_cast<const double*>(data)[i]);
    default:
      return static_cast<const float*>(data)[i];
  }
}
SEEDNORM_DEVICE void store_element(void* data, DType dtype, int64_t i, double value) {
  const float single = static_cast<float>(value);
  switch (dtype) {
    case DType::kBFloat16:
      static_cast<uint16_t*>(data)[i] = static_cast<uint16_t>(narrow(BFloat16{}, single, 0));
      break;
    case DType::kFloat16:
      static_cast<uint16_t*>(data)[i] = static_cast<uint16_t>(narrow(Float16{}, single, 0));
      break;
    case DType::kFloat64:
      static_cast<double*>(data)[i] = value;
      break;
    default:
      static_cast<float*>(data)[i] = single;
  }
}

// --- Loads and stores of n columns, 1 <= n, of which the first kCols<T> count ---
//
// If an address or the row's end forbids 16 bytes, they go element by element, which is slower but puts the
// same values in the same places. Those loops are not unrolled, since that would multiply the code. Elements
// are shifted through the vector, because an array with an index that is known only at run time would be in
// memory.

SEEDNORM_DEVICE uint32_t bits_of(BFloat16 v) { return v.bits; }
SEEDNORM_DEVICE uint32_t bits_of(Float16 v) { return v.bits; }
SEEDNORM_DEVICE uint32_t bits_of(float v) { return __builtin_bit_cast(uint32_t, v); }
SEEDNORM_DEVICE uint64_t bits_of(double v) { return __builtin_bit_cast(uint64_t, v); }
SEEDNORM_DEVICE void set_bits(BFloat16& v, uint64_t bits) { v.bits = static_cast<uint16_t>(bits); }
SEEDNORM_DEVICE void set_bits(Float16& v, uint64_t bits) { v.bits = static_cast<uint16_t>(bits); }
SEEDNORM_DEVICE void set_bits(float& v, uint64_t bits) {
  v = __builtin_bit_cast(float, static_cast<uint32_t>(bits));
}
SEEDNORM_DEVICE void set_bits(double& v, uint64_t bits) { v = __builtin_bit_cast(double, bits); }

template <class T>
SEEDNORM_DEVICE Raw load_elements(const T* from, int n) {
  constexpr int kBits = 8 * sizeof(T);
  uint64_t low = 0, high = 0;
#pragma unroll 1
  for (int e = (n < kCols<T> ? n : kCols<T>)-1; e >= 0; --e) {
    if constexpr (kBits == 64) {
      high = low;
      low = bits_of(from[e]);
    } else {
      high = high << kBits | low >> (64 - kBits);
      low = low << kBits | bits_of(from[e]);
    }
  }
  return {{static_cast<uint32_t>(low), static_cast<uint32_t>(low >> 32), static_cast<uint32_t>(high),
           static_cast<uint32_t>(high >> 32)}};
}
template <class T>
SEEDNORM_DEVICE void store_elements(const Raw& raw, T* to, int n) {
  constexpr int kBits = 8 * sizeof(T);
  uint64_t low = raw.word[0] | static_cast<uint64_t>(raw.word[1]) << 32;
  uint64_t high = raw.word[2] | static_cast<uint64_t>(raw.word[3]) << 32;
  const int count = n < kCols<T> ? n : kCols<T>;
#pragma unroll 1
  for (int e = 0; e < count; ++e) {
    set_bits(to[e], low);
    if constexpr (kBits == 64) {
      low = high;
    } else {
      low = low >> kBits | high << (64 - kBits);
      high >>= kBits;
    }
  }
}

// Data is read once, so it is marked to leave the caches first; parameters should stay there.
SEEDNORM_DEVICE Raw load_once(const Raw* from) {
#ifdef __CUDA_ARCH__
  const uint4 v = __ldcs(reinterpret_cast<const uint4*>(from));
  return {{v.x, v.y, v.z, v.w}};
#else
  return *from;
#endif
}
SEEDNORM_DEVICE void store_once(const Raw& raw, Raw* to) {
#ifdef __CUDA_ARCH__
  __stcs(reinterpret_cast<uint4*>(to), make_uint4(raw.word[0], raw.word[1], raw.word[2], raw.word[3]));
#else
  *to = raw;
#endif
}

template <class T>
SEEDNORM_DEVICE Raw load(const T* from, int n, bool aligned) {
  if (aligned && n >= kCols<T>) return load_once(reinterpret_cast<const Raw*>(from));
  return load_elements(from, n);
}
template <class T>
SEEDNORM_DEVICE void store(const Raw& raw, T* to, int n, bool aligned) {
  if (aligned && n >= kCols<T>) return store_once(raw, reinterpret_cast<Raw*>(to));
  store_elements(raw, to, n);
}

// Copies to shared memory without registers, while the thread continues. A thread sees its own copies after
// wait_for_copies<k>(), which leaves the latest k groups in flight.
SEEDNORM_DEVICE void copy_async(const Raw* from, Raw* to) {
#ifdef __CUDA_ARCH__
  asm volatile(
      "cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(static_cast<uint32_t>(__cvta_generic_to_shared(to))),
      "l"(from)
      : "memory");
#else
  *to = *from;
#endif
}
SEEDNORM_DEVICE void close_copies() {
#ifdef __CUDA_ARCH__
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}
template <int kUnderWay>
SEEDNORM_DEVICE void wait_for_copies() {
#ifdef __CUDA_ARCH__
  asm volatile("cp.async.wait_group %0;" ::"n"(kUnderWay) : "memory");
#endif
}

// The block's shared memory; launch() sets its size.
SEEDNORM_DEVICE unsigned char* shared_memory() {
#ifdef __CUDACC__
  extern __shared__ __align__(16) unsigned char memory[];
  return memory;
#else
  return host_shared_memory();
#endif
}

// Rows of one tensor.
template <class T>
class RowsOf {
 public:
  template <class Ref>
  SEEDNORM_DEVICE explicit RowsOf(const Ref& ref)
      : data_(static_cast<const T*>(ref.data)),
        stride_(ref.stride),
        aligned_(is_aligned(data_) && ref.stride % kCols<T> == 0) {}
  SEEDNORM_DEVICE explicit operator bool() const { return data_ != nullptr; }
  SEEDNORM_DEVICE bool aligned() const { return aligned_; }
  SEEDNORM_DEVICE const T* at(int64_t row, int c) const { return data_ + row * stride_ + c; }
  SEEDNORM_DEVICE Raw load(int64_t row, int c, int n) const { return cuda::load(at(row, c), n, aligned_); }
  SEEDNORM_DEVICE void store(const Raw& raw, int64_t row, int c, int n) const {
    cuda::store(raw, const_cast<T*>(at(row, c)), n, aligned_);
  }

 private:
  const T* data_;
  int64_t stride_;
  bool aligned_;
};

// A parameter, as ParamRef defines it.
template <class T>
class Columns {
 public:
  using A = Acc<T>;

  // `sample` chooses the row of a parameter with one row per sample.
  SEEDNORM_DEVICE explicit Columns(const ParamRef& ref, int64_t sample = 0)
      : data_(static_cast<const char*>(ref.data) + sample * ref.stride * bytes(ref.dtype)),
        dtype_(ref.dtype),
        value_(static_cast<A>(ref.offset)) {
    if (ref.data == nullptr || ref.mask == 0) {
      path_ = Path::kConstant;
      value_ = ref.data == nullptr ? static_cast<A>(ref.constant) : value_ + element_of<A>(data_, dtype_, 0);
    } else if (!is_aligned(data_)) {
      path_ = Path::kElements;
    } else if (ref.dtype == DTypeOf<T>::value) {
      path_ = Path::kSame;
    } else {
      path_ = ref.dtype == DTypeOf<A>::value ? Path::kWide : Path::kElements;
    }
  }

  // The single value of a scalar.
  SEEDNORM_DEVICE A value() const { return value_; }

  // n columns from column c on; elements beyond them do not matter.
  SEEDNORM_DEVICE Vec<T> load(int c, int n) const {
    Vec<T> v;
    const bool whole = n >= kCols<T>;
    if (path_ == Path::kConstant) {
#pragma unroll
      for (int e = 0; e < kCols<T>; ++e) v.at[e] = value_;
      return v;
    }
    if (path_ == Path::kSame && whole) {
      v = unpack<T>(*(static_cast<const Raw*>(static_cast<const void*>(data_)) + c / kCols<T>));
    } else if (path_ == Path::kWide && whole) {
      v = *reinterpret_cast<const WideVec*>(data_ + static_cast<int64_t>(c) * sizeof(A));
    } else {
      v = elements(c, n);
    }
#pragma unroll
    for (int e = 0; e < kCols<T>; ++e) v.at[e] += value_;
    return v;
  }

 private:
  enum class Path : int { kConstant, kSame, kWide, kElements };
  struct alignas(16) WideVec : Vec<T> {};

  SEEDNORM_DEVICE static int64_t bytes(DType dtype) {
    return dtype == DType::kFloat64 ? 8 : dtype == DType::kFloat32 ? 4 : 2;
  }

  SEEDNORM_DEVICE Vec<T> elements(int c, int n) const {
    Vec<T> v = {};
#pragma unroll 1
    for (int e = (n < kCols<T> ? n : kCols<T>)-1; e >= 0; --e) {
#pragma unroll
      for (int i = kCols<T> - 1; i > 0; --i) v.at[i] = v.at[i - 1];
      v.at[0] = element_of<A>(data_, dtype_, static_cast<int64_t>(c) + e);
    }
    return v;
  }

  const char* data_;
  DType dtype_;
  Path path_;
  A value_;  // the constant, or what is added: 1 for 1 + gamma
};

// Statistics: `num_stats` numbers per row.
template <class A>
SEEDNORM_DEVICE A stat(const KernelArgs& args, int64_t row, int64_t i) {
  return static_cast<const A*>(args.stats)[row * args.num_stats + i];
}
template <class A>
SEEDNORM_DEVICE void set_stat(const KernelArgs& args, int64_t row, int64_t i, A value) {
  static_cast<A*>(args.stats_out)[row * args.num_stats + i] = value;
}

}  // namespace seednorm::cuda

#endif  // SEEDNORM_CORE_CUDA_DEVICE_CUH_

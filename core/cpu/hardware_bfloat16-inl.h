// bfloat16 that the processor rounds (AVX512_BF16), as a type of data of its own: the same in memory as
// BFloat16, and the same in every operation apart from rounding.
//
// One instruction rounds the even and the odd columns of a unit, and a second one interleaves them, in place
// of eight. The instruction reads subnormal numbers as zero and writes zero for subnormal results, which is
// the only difference in the results. It is written in assembly because Highway 1.0.3 has no target with it,
// and a target of its own would compile every kernel once more.
#if defined(SEEDNORM_CORE_CPU_HARDWARE_BFLOAT16_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SEEDNORM_CORE_CPU_HARDWARE_BFLOAT16_INL_H_
#undef SEEDNORM_CORE_CPU_HARDWARE_BFLOAT16_INL_H_
#else
#define SEEDNORM_CORE_CPU_HARDWARE_BFLOAT16_INL_H_
#endif

#include "core/cpu/lanes-inl.h"
#include "core/kernel/hardware_rounding.h"

HWY_BEFORE_NAMESPACE();
namespace seednorm {
namespace HWY_NAMESPACE {

#undef SEEDNORM_HARDWARE_BFLOAT16
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3
#define SEEDNORM_HARDWARE_BFLOAT16 1

struct HardwareBFloat16 {
  uint16_t bits;
};
template <>
inline constexpr int kVecs<HardwareBFloat16> = 2;

HWY_INLINE const BFloat16* as_bfloat16(const HardwareBFloat16* p) {
  return reinterpret_cast<const BFloat16*>(p);
}
HWY_INLINE Unit<HardwareBFloat16> hardware_unit(const Unit<BFloat16>& u) { return {{u.v[0], u.v[1]}}; }

HWY_INLINE Unit<HardwareBFloat16> load_unit(const HardwareBFloat16* HWY_RESTRICT p) {
  return hardware_unit(load_unit(as_bfloat16(p)));
}
HWY_INLINE Unit<HardwareBFloat16> load_partial(const HardwareBFloat16* HWY_RESTRICT p, size_t n) {
  return hardware_unit(load_partial(as_bfloat16(p), n));
}

// The unit's columns in natural order.
HWY_INLINE auto pack_in_hardware(const Unit<HardwareBFloat16>& u) {
  const hn::Repartition<uint16_t, Tag<HardwareBFloat16>> d16;
  alignas(64) static constexpr uint16_t kOrder[32] = {0,  16, 1,  17, 2,  18, 3,  19, 4,  20, 5,
                                                      21, 6,  22, 7,  23, 8,  24, 9,  25, 10, 26,
                                                      11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  __m512i even_then_odd;
  __asm__("vcvtne2ps2bf16 %2, %1, %0" : "=v"(even_then_odd) : "v"(u.v[1].raw), "v"(u.v[0].raw));
  return hn::Vec<decltype(d16)>{_mm512_permutexvar_epi16(hn::Load(d16, kOrder).raw, even_then_odd)};
}
HWY_INLINE void store_unit(const Unit<HardwareBFloat16>& u, HardwareBFloat16* HWY_RESTRICT p) {
  const hn::Repartition<uint16_t, Tag<HardwareBFloat16>> d16;
  hn::StoreU(pack_in_hardware(u), d16, reinterpret_cast<uint16_t*>(p));
}
HWY_INLINE void stream_unit(const Unit<HardwareBFloat16>& u, HardwareBFloat16* HWY_RESTRICT p) {
  const hn::Repartition<uint16_t, Tag<HardwareBFloat16>> d16;
  hn::Stream(pack_in_hardware(u), d16, reinterpret_cast<uint16_t*>(p));
}
template <>
HWY_INLINE Unit<HardwareBFloat16> round_to_storage(const Unit<HardwareBFloat16>& u) {
  const Tag<HardwareBFloat16> d;
  const hn::RebindToUnsigned<decltype(d)> du;
  const auto pairs = hn::BitCast(du, pack_in_hardware(u));
  return {
      {hn::BitCast(d, hn::ShiftLeft<16>(pairs)), hn::BitCast(d, hn::And(pairs, hn::Set(du, 0xFFFF0000u)))}};
}
#else
#define SEEDNORM_HARDWARE_BFLOAT16 0
#endif

// Calls f(StorageType<S>()), where S is T or, if the processor rounds to T = BFloat16, HardwareBFloat16.
template <class T>
struct StorageType {};
template <class T, class F>
HWY_INLINE void with_storage(F&& f) {
#if SEEDNORM_HARDWARE_BFLOAT16
  if constexpr (std::is_same_v<T, BFloat16>) {
    if (rounds_in_hardware()) return f(StorageType<HardwareBFloat16>());
  }
#endif
  f(StorageType<T>());
}

}  // namespace HWY_NAMESPACE
}  // namespace seednorm
HWY_AFTER_NAMESPACE();

#endif  // SEEDNORM_CORE_CPU_HARDWARE_BFLOAT16_INL_H_

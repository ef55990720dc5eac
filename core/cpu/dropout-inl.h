// Dropout multipliers of 64 columns of a row at a time, from seednorm/philox.h's counters.
#if defined(SEEDNORM_CORE_CPU_DROPOUT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SEEDNORM_CORE_CPU_DROPOUT_INL_H_
#undef SEEDNORM_CORE_CPU_DROPOUT_INL_H_
#else
#define SEEDNORM_CORE_CPU_DROPOUT_INL_H_
#endif

#include "core/cpu/lanes-inl.h"
#include "seednorm/philox.h"

HWY_BEFORE_NAMESPACE();
namespace seednorm {
namespace HWY_NAMESPACE {

#if HWY_TARGET == HWY_SCALAR
// bits[0 .. 64): dropout_bits of the group's columns.
HWY_INLINE void group_bits(uint64_t seed, uint64_t offset, uint64_t row, uint64_t group, uint32_t* bits) {
  for (uint64_t i = 0; i < 64; ++i) bits[i] = dropout_bits(seed, offset, row, group * 64 + i);
}
#else
// High and low halves of the 64-bit products a * b.
template <class D, class VU = hn::Vec<D> >
HWY_INLINE VU mul_wide(D d, VU a, VU b, VU& low) {
  const hn::Repartition<uint64_t, D> d64;
  const auto even = hn::MulEven(a, b);
  const auto odd = hn::MulEven(hn::BitCast(d, hn::ShiftRight<32>(hn::BitCast(d64, a))), b);
  const auto low32 = hn::Set(d64, uint64_t{0xFFFFFFFF});
  low = hn::BitCast(d, hn::Or(hn::And(even, low32), hn::ShiftLeft<32>(odd)));
  return hn::BitCast(d, hn::Or(hn::ShiftRight<32>(even), hn::AndNot(low32, odd)));
}

HWY_INLINE void group_bits(uint64_t seed, uint64_t offset, uint64_t row, uint64_t group, uint32_t* bits) {
  const hn::CappedTag<uint32_t, 16> d;
  using VU = hn::Vec<decltype(d)>;
  const VU m0 = hn::Set(d, 0xD2511F53u), m1 = hn::Set(d, 0xCD9E8D57u);
  for (size_t lane = 0; lane < 16; lane += hn::Lanes(d)) {
    VU c0 = hn::Iota(d, static_cast<uint32_t>(group * 16 + lane));
    VU c1 = hn::Set(d, static_cast<uint32_t>(row));
    VU c2 = hn::Set(d, static_cast<uint32_t>(row >> 32) ^ static_cast<uint32_t>(offset >> 32));
    VU c3 = hn::Set(d, static_cast<uint32_t>(offset));
    uint32_t key0 = static_cast<uint32_t>(seed), key1 = static_cast<uint32_t>(seed >> 32);
    for (int round = 0; round < 10; ++round, key0 += 0x9E3779B9u, key1 += 0xBB67AE85u) {
      VU low0, low1;
      const VU high0 = mul_wide(d, c0, m0, low0);
      const VU high1 = mul_wide(d, c2, m1, low1);
      c0 = hn::Xor(hn::Xor(high1, c1), hn::Set(d, key0));
      c2 = hn::Xor(hn::Xor(high0, c3), hn::Set(d, key1));
      c1 = low1;
      c3 = low0;
    }
    hn::StoreU(c0, d, bits + lane);
    hn::StoreU(c1, d, bits + 16 + lane);
    hn::StoreU(c2, d, bits + 32 + lane);
    hn::StoreU(c3, d, bits + 48 + lane);
  }
}
#endif

// The multipliers 0 or 1 / (1 - p) of a block's rows, made group by group as the columns are reached.
template <class T, int R>
class DropoutRows {
 public:
  using A = Acc<T>;

  explicit DropoutRows(const KernelArgs& args)
      : seed_(args.seed),
        offset_(args.offset),
        threshold_(dropout_threshold(args.options.dropout)),
        kept_(static_cast<A>(1 / (1 - args.options.dropout))) {}

  // The multipliers of row `row`, the block's i-th, at the unit that starts at column c. Columns must come in
  // ascending order.
  HWY_INLINE Unit<T> unit(int64_t row, int i, size_t c) {
    if (c % 64 == 0) fill(row, i, c / 64);
    return load_natural<T>(keep_[i] + c % 64);
  }

 private:
  HWY_NOINLINE void fill(int64_t row, int i, size_t group) {
    uint32_t bits[64];
    group_bits(seed_, offset_, static_cast<uint64_t>(row), group, bits);
    for (int j = 0; j < 64; ++j) keep_[i][j] = bits[j] < threshold_ ? A{0} : kept_;
  }

  const uint64_t seed_, offset_;
  const uint32_t threshold_;
  const A kept_;
  alignas(64) A keep_[R][64];
};

}  // namespace HWY_NAMESPACE
}  // namespace seednorm
HWY_AFTER_NAMESPACE();

#endif  // SEEDNORM_CORE_CPU_DROPOUT_INL_H_

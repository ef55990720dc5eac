// The random numbers of dropout: Philox 4x32-10 (Salmon et al., SC 2011), which is counter-based.
#ifndef SEEDNORM_PHILOX_H_
#define SEEDNORM_PHILOX_H_

#include <array>
#include <cstdint>

namespace seednorm {

// Ten rounds on `counter` with `key`.
constexpr std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53} * counter[0];
    const uint64_t p1 = uint64_t{0xCD9E8D57} * counter[2];
    counter = {static_cast<uint32_t>(p1 >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(p1),
               static_cast<uint32_t>(p0 >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(p0)};
    key[0] += 0x9E3779B9;  // golden ratio
    key[1] += 0xBB67AE85;  // sqrt(3) - 1
  }
  return counter;
}

// 32 random bits of element `col` of row `row`. Columns form groups of 64: the four words of counter
// (group * 16 + j) serve columns j, 16 + j, 32 + j and 48 + j of the group, so that a vector of up to 16
// neighbouring columns takes the same word of neighbouring counters.
// Counter words: the counter above; row, low; row, high, xor offset, high; offset, low.
constexpr uint32_t dropout_bits(uint64_t seed, uint64_t offset, uint64_t row, uint64_t col) {
  const std::array<uint32_t, 4> counter = {
      static_cast<uint32_t>(col / 64 * 16 + col % 16), static_cast<uint32_t>(row),
      static_cast<uint32_t>(row >> 32) ^ static_cast<uint32_t>(offset >> 32), static_cast<uint32_t>(offset)};
  const std::array<uint32_t, 2> key = {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)};
  return philox(counter, key)[col % 64 / 16];
}

// Elements whose bits are below this are dropped: p * 2^32, rounded down.
constexpr uint32_t dropout_threshold(double p) { return static_cast<uint32_t>(p * 4294967296.0); }

}  // namespace seednorm

#endif  // SEEDNORM_PHILOX_H_

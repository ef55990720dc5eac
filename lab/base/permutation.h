// A shuffle that needs no memory, because the new place of a position is computed from the position.
#ifndef SEEDNORM_LAB_BASE_PERMUTATION_H_
#define SEEDNORM_LAB_BASE_PERMUTATION_H_

#include <bit>
#include <cstdint>

#include "seednorm/philox.h"

namespace seednorm::lab {

// A permutation of 0 .. size - 1 for each seed and epoch. A Feistel network with Philox as its round function
// permutes the next larger power of four; a value outside of the range goes through it again until it is
// inside. The permutation must never change, because resumed runs rely on it.
class Permutation {
 public:
  // size >= 1
  Permutation(uint64_t size, uint64_t seed, uint64_t epoch)
      : size_(size), seed_(seed), epoch_(epoch), half_bits_((std::bit_width(size - 1) + 1) / 2) {}

  uint64_t operator()(uint64_t position) const {
    if (size_ == 1) return 0;
    do position = shuffle(position);
    while (position >= size_);
    return position;
  }

 private:
  uint64_t shuffle(uint64_t position) const {
    const uint64_t mask = (uint64_t{1} << half_bits_) - 1;
    uint64_t left = position >> half_bits_, right = position & mask;
    for (uint32_t round = 0; round < 8; ++round) {
      const auto random = philox({static_cast<uint32_t>(right), round, static_cast<uint32_t>(epoch_),
                                  static_cast<uint32_t>(epoch_ >> 32)},
                                 {static_cast<uint32_t>(seed_), static_cast<uint32_t>(seed_ >> 32)});
      const uint64_t mixed = (left ^ random[0]) & mask;
      left = right;
      right = mixed;
    }
    return left << half_bits_ | right;
  }

  uint64_t size_, seed_, epoch_;
  int half_bits_;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_BASE_PERMUTATION_H_

// Cuts rows into chunks, whose parameter gradients are summed separately. The shape alone determines the cut.
#ifndef SEEDNORM_CORE_KERNEL_CHUNKS_H_
#define SEEDNORM_CORE_KERNEL_CHUNKS_H_

#include <cstdint>

#include "core/kernel/host_device.h"
#include "core/kernel/rounding.h"

namespace seednorm {

struct ChunkRules {
  int64_t max_count;  // maximum number of chunks
  int64_t min_rows;   // minimum number of rows per chunk
  int64_t multiple;   // the rows of a chunk are a multiple of it
};

// With samples, a chunk holds whole samples, or a part of a sample if there are only a few.
struct Chunks {
  int64_t size;  // rows per chunk, except for the last (of the sample)
  int64_t count;
  int64_t per_sample = 0;  // chunks per sample; 0 if chunks hold whole samples or there are no samples

  // First row of chunk i.
  SEEDNORM_HOST_DEVICE int64_t begin(int64_t i, int64_t rows, int64_t rows_per_sample) const {
    const auto least = [](int64_t a, int64_t b) { return a < b ? a : b; };
    if (per_sample == 0) return least(rows, i * size);
    return least(rows, i / per_sample * rows_per_sample + least(rows_per_sample, i % per_sample * size));
  }
};

inline Chunks cut_chunks(int64_t rows, int64_t rows_per_sample, const ChunkRules& rules) {
  const auto piece = [&](int64_t n, int64_t pieces) {
    const int64_t size = divide_up(n, pieces);
    return round_up(size < rules.min_rows ? rules.min_rows : size, rules.multiple);
  };
  if (rows == 0) return {1, 0};
  if (rows_per_sample == 0) {
    const int64_t size = piece(rows, rules.max_count);
    return {size, divide_up(rows, size)};
  }
  const int64_t samples = divide_up(rows, rows_per_sample);
  if (samples >= rules.max_count) {
    const int64_t size = divide_up(samples, rules.max_count) * rows_per_sample;
    return {size, divide_up(rows, size)};
  }
  const int64_t sample_rows = rows < rows_per_sample ? rows : rows_per_sample;
  const int64_t size = piece(sample_rows, rules.max_count / samples);
  const int64_t per_sample = divide_up(sample_rows, size);
  return {size, samples * per_sample, per_sample};
}

}  // namespace seednorm

#endif  // SEEDNORM_CORE_KERNEL_CHUNKS_H_

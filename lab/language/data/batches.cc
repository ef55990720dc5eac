#include "lab/language/data/batches.h"

#include <stdexcept>
#include <string>

#include "lab/base/error.h"
#include "lab/base/permutation.h"

namespace seednorm::lab {

Batches::Batches(const TokenStream& stream, const BatchOptions& options)
    : stream_(&stream), options_(options) {
  if (options.context < 1 || options.batch_size < 1) {
    throw UserError("context and batch size: expected at least 1, got " + std::to_string(options.context) +
                    " and " + std::to_string(options.batch_size));
  }
  num_sequences_ = (stream.num_tokens() - 1) / options.context;
  if (num_sequences_ < 1) {
    throw UserError("the data has " + std::to_string(stream.num_tokens()) +
                    " tokens, and one sequence needs " + std::to_string(options.context + 1) +
                    "; add text or lower the context");
  }
}

int64_t Batches::sequence(int64_t step, int64_t row) const {
  const int64_t position = step * options_.batch_size + row;
  const auto epoch = static_cast<uint64_t>(position / num_sequences_);
  const Permutation permutation(static_cast<uint64_t>(num_sequences_), options_.seed, epoch);
  return static_cast<int64_t>(permutation(static_cast<uint64_t>(position % num_sequences_)));
}

void Batches::read(int64_t step, int64_t first_row, int64_t rows, std::span<int64_t> out) const {
  const int64_t width = options_.context + 1;
  if (step < 0 || first_row < 0 || rows < 0 || first_row + rows > options_.batch_size ||
      static_cast<int64_t>(out.size()) != rows * width) {
    throw std::invalid_argument("Batches::read: rows or buffer do not fit the batch");
  }
  for (int64_t r = 0; r < rows; ++r) {
    read_sequence(sequence(step, first_row + r), out.subspan(static_cast<size_t>(r * width), width));
  }
}

void Batches::read_sequence(int64_t index, std::span<int64_t> out) const {
  if (index < 0 || index >= num_sequences_ || static_cast<int64_t>(out.size()) != options_.context + 1) {
    throw std::invalid_argument("Batches::read_sequence: no such sequence, or a buffer of another size");
  }
  stream_->read(index * options_.context, out);
}

}  // namespace seednorm::lab

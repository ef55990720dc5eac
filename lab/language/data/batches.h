// Which tokens a training step sees: a pure function of the data, the seed and the step.
#ifndef SEEDNORM_LAB_LANGUAGE_DATA_BATCHES_H_
#define SEEDNORM_LAB_LANGUAGE_DATA_BATCHES_H_

#include <cstdint>
#include <span>

#include "lab/language/data/token_stream.h"

namespace seednorm::lab {

struct BatchOptions {
  int64_t context = 0;     // tokens that a sequence predicts
  int64_t batch_size = 0;  // sequences in a step, over all micro-batches and processes
  uint64_t seed = 0;
};

// A stream is cut into sequences of context + 1 tokens, each beginning with the last of the one before, so
// that every token but the first is predicted once an epoch; what is left at the end is not used. Each epoch
// is shuffled anew. Neither threads nor the way a batch is cut change what is where, and a resumed run asks
// for its step.
class Batches {
 public:
  // The stream must outlive it. Throws UserError if it is too short for one sequence.
  Batches(const TokenStream& stream, const BatchOptions& options);

  int64_t num_sequences() const { return num_sequences_; }
  // Sequence `row` of step `step` (both from 0), as its number in the stream.
  int64_t sequence(int64_t step, int64_t row) const;
  // From 0: how often all sequences have been seen before this step begins.
  int64_t epoch(int64_t step) const { return step * options_.batch_size / num_sequences_; }

  // The tokens of rows first_row .. first_row + rows - 1 of a step, context + 1 a row: inputs are all but the
  // last, targets all but the first. `out` holds rows (context + 1). Errors as TokenStream::read.
  void read(int64_t step, int64_t first_row, int64_t rows, std::span<int64_t> out) const;
  // Sequence `index` of the stream, in the stream's order: for validation.
  void read_sequence(int64_t index, std::span<int64_t> out) const;

 private:
  const TokenStream* stream_;
  BatchOptions options_;
  int64_t num_sequences_;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_DATA_BATCHES_H_

// The tokens of a training step: a pure function of the data, the seed and the step.
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

// A stream is cut into sequences of context + 1 tokens. Each starts with the last token of the one before, so
// that every token but the first is predicted once per epoch; the tokens left at the end are not used. Each
// epoch is shuffled anew. The rows of a step do not depend on threads or on how a batch is cut, and a resumed
// run asks for the rows of its next step.
class Batches {
 public:
  // The stream must outlive it. Throws UserError if it is too short for one sequence.
  Batches(const TokenStream& stream, const BatchOptions& options);

  int64_t num_sequences() const { return num_sequences_; }
  // The index in the stream of the sequence in row `row` of step `step`, both counted from 0.
  int64_t sequence(int64_t step, int64_t row) const;
  // The number of times that all sequences have been used before this step.
  int64_t epoch(int64_t step) const { return step * options_.batch_size / num_sequences_; }

  // The tokens of rows first_row .. first_row + rows - 1 of a step, context + 1 per row: inputs are all but
  // the last, and targets all but the first. `out` holds rows (context + 1). Errors as TokenStream::read.
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

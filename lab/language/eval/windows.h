// Cuts a text that is longer than a model's context into windows.
#ifndef SEEDNORM_LAB_LANGUAGE_EVAL_WINDOWS_H_
#define SEEDNORM_LAB_LANGUAGE_EVAL_WINDOWS_H_

#include <cstdint>
#include <vector>

namespace seednorm::lab {

// Tokens begin .. begin + inputs - 1 are the model's input. The token after each is predicted; the first
// `skipped` predictions do not count.
struct Window {
  int64_t begin = 0, inputs = 0, skipped = 0;
};

// Each token but the first is predicted once, by a window of at most `context` inputs that starts a multiple
// of `stride` tokens after the first one: 1 <= stride <= context. All windows but the first predict `stride`
// tokens, from at least context - stride + 1 tokens before them.
std::vector<Window> sliding_windows(int64_t tokens, int64_t context, int64_t stride);

// Chunks of exactly `context` tokens, one after the other, as in OLMo's evaluator. The first token of a chunk
// and the tokens left at the end are not predicted.
std::vector<Window> chunks(int64_t tokens, int64_t context);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_EVAL_WINDOWS_H_

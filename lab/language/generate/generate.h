// Generates text from a model, token by token.
#ifndef SEEDNORM_LAB_LANGUAGE_GENERATE_GENERATE_H_
#define SEEDNORM_LAB_LANGUAGE_GENERATE_GENERATE_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "lab/language/generate/sampler.h"
#include "lab/language/generate/text_model.h"
#include "lab/nn/cpu/few_rows.h"

namespace seednorm::lab {

// The maximum number of rows that are multiplied independently, so that a text does not depend on the rest of
// its batch, bit for bit.
inline constexpr int64_t kMaxBatch = kFewRows;

struct GenerateOptions {
  SamplingConfig sampling;  // each prompt has its own random numbers from the same seed
  int64_t max_tokens = 128;
  int64_t batch = 8;              // prompts at once, 1 to kMaxBatch; results do not depend on it
  std::vector<std::string> stop;  // texts that end a generation, regardless of token boundaries
};

enum class Finish { kLength, kContext, kEos, kStop };
const char* name_of(Finish finish);  // "length", "context", "eos", "stop"

struct Generation {
  int64_t prompt_tokens = 0;
  std::vector<int32_t> tokens;  // all sampled tokens, including one that ended the text
  std::string text;             // without it, and without special tokens
  Finish finish = Finish::kLength;
};

struct GenerateResult {
  std::vector<Generation> generations;  // one for each prompt, in their order
  double prompt_seconds = 0, token_seconds = 0;
};

// Receives pieces of complete UTF-8 as soon as they are final.
using OnText = std::function<void(size_t prompt, std::string_view text)>;

// Continues each prompt; an empty prompt starts a document. Errors (UserError): a prompt that is not shorter
// than the context, or an empty one if the tokenizer has no token between documents. (Interrupted): the user
// stopped the program.
GenerateResult generate(const TextModel& model, const std::vector<std::string>& prompts,
                        const GenerateOptions& options, const OnText& on_text);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_GENERATE_GENERATE_H_

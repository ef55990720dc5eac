// Text from a model, a token at a time.
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

// As many rows as are multiplied each for itself: then who else is in a batch changes nothing, bitwise.
inline constexpr int64_t kMaxBatch = kFewRows;

struct GenerateOptions {
  SamplingConfig sampling;  // each prompt has draws of its own from the same seed
  int64_t max_tokens = 128;
  int64_t batch = 8;              // prompts at once, 1 to kMaxBatch; results do not depend on it
  std::vector<std::string> stop;  // texts that end a generation, wherever tokens begin and end
};

enum class Finish { kLength, kContext, kEos, kStop };
const char* name_of(Finish finish);  // "length", "context", "eos", "stop"

struct Generation {
  int64_t prompt_tokens = 0;
  std::vector<int32_t> tokens;  // all that were drawn, one that ended it included
  std::string text;             // without it, and without special tokens
  Finish finish = Finish::kLength;
};

struct GenerateResult {
  std::vector<Generation> generations;  // one for each prompt, in their order
  double prompt_seconds = 0, token_seconds = 0;
};

// Gets pieces of whole UTF-8 as soon as they are certain.
using OnText = std::function<void(size_t prompt, std::string_view text)>;

// Continues each prompt; an empty one begins a document. Errors (UserError): a prompt that is not shorter
// than the context, or that is empty where the tokenizer has no token between documents. Interrupted: the
// user stopped it.
GenerateResult generate(const TextModel& model, const std::vector<std::string>& prompts,
                        const GenerateOptions& options, const OnText& on_text);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_GENERATE_GENERATE_H_

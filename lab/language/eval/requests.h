// A task's documents as token ids, and the inputs of the model.
#ifndef SEEDNORM_LAB_LANGUAGE_EVAL_REQUESTS_H_
#define SEEDNORM_LAB_LANGUAGE_EVAL_REQUESTS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "lab/base/file.h"
#include "lab/language/data/tokenizer/tokenizer.h"
#include "lab/language/eval/task.h"

namespace seednorm::lab {

using Ids = std::vector<int32_t>;

// A document's ids. Contexts and continuations are encoded separately, without special tokens.
struct EncodedDocument {
  std::vector<Ids> contexts;  // one, or one for each continuation
  std::vector<Ids> continuations;

  const Ids& context(size_t choice) const { return contexts[contexts.size() == 1 ? 0 : choice]; }
};

// A task that is ready to be evaluated any number of times.
struct TaskRequests {
  Task task;
  std::vector<Document> documents;
  std::vector<EncodedDocument> encoded;  // one for each document
  int64_t max_tokens = 0;                // the longest input
  int64_t left_out = 0;                  // documents with a choice that is longer than an input

  int64_t num_requests() const;
  int64_t num_cut() const;  // requests that lose the beginning of their context
  // A hash of all ids and right answers: equal hashes mean equal questions and the same vocabulary.
  std::string fingerprint() const;
};

// Inputs have at most this many tokens for any model's context, as in OLMo's evaluator.
constexpr int64_t kMaxInputTokens = 2048;

struct EncodeLimits {
  int64_t model_context = 0;  // tokens
  int64_t documents = 0;      // use only the first ones; 0: all
};

// Documents with a continuation that does not fit into an input are left out and counted. Errors (UserError):
// those of Task::read; a context without tokens; all documents are left out.
TaskRequests prepare_task(const Task& task, const DataFolder& folder, const Tokenizer& tokenizer,
                          const EncodeLimits& limits);

// The number of tokens that a context loses at its beginning, so that context and continuation without its
// last token have at most max_tokens.
int64_t num_left_out(const Ids& context, const Ids& continuation, int64_t max_tokens);

// Appends every request to a file as a line of JSON: {"task", "document", "choice", "gold", "metric",
// "context", "continuation", "context_ids", "continuation_ids", "context_tokens", "input_tokens"}; ids are
// before the cut, context_tokens and input_tokens after it.
void write_requests(const TaskRequests& requests, OutputFile& file);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_EVAL_REQUESTS_H_

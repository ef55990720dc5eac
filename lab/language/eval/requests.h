// A task's documents as token ids, and which of them the model sees.
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

// A document's ids: contexts and continuations are encoded apart, without any special token.
struct EncodedDocument {
  std::vector<Ids> contexts;  // one, or one for each continuation
  std::vector<Ids> continuations;

  const Ids& context(size_t choice) const { return contexts[contexts.size() == 1 ? 0 : choice]; }
};

// A task that is ready to be run, as often as wanted.
struct TaskRequests {
  Task task;
  std::vector<Document> documents;
  std::vector<EncodedDocument> encoded;  // one for each document
  int64_t max_tokens = 0;                // of an input
  int64_t left_out = 0;                  // documents with a choice that is longer than an input

  int64_t num_requests() const;
  int64_t num_cut() const;  // requests that lose the begin of their context
  // A hash of all ids and right answers: the same means the same questions to the same vocabulary.
  std::string fingerprint() const;
};

// Inputs are cut to this many tokens whatever the model's context, as the evaluator of OLMo does.
constexpr int64_t kMaxInputTokens = 2048;

struct EncodeLimits {
  int64_t model_context = 0;  // tokens
  int64_t documents = 0;      // the first so many; 0: all
};

// Documents with a continuation that an input cannot hold are left out and counted. Errors (UserError): as
// Task::read; a context without tokens; all documents are left out.
TaskRequests prepare_task(const Task& task, const DataFolder& folder, const Tokenizer& tokenizer,
                          const EncodeLimits& limits);

// Tokens at the begin of a context that are left out so that context and continuation, without its last
// token, are at most max_tokens.
int64_t num_left_out(const Ids& context, const Ids& continuation, int64_t max_tokens);

// Appends every request to a file as a line of JSON: {"task", "document", "choice", "gold", "metric",
// "context", "continuation", "context_ids", "continuation_ids", "context_tokens", "input_tokens"}; ids are
// before the cut, context_tokens and input_tokens after it.
void write_requests(const TaskRequests& requests, OutputFile& file);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_EVAL_REQUESTS_H_

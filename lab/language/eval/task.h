// Tasks: multiple-choice questions that a language model answers with the choice it finds most likely.
//
// Prompts and scores are those of the evaluator that OLMo and OLMoE run during training (allenai/OLMo at
// 59a53e3, olmo/eval/downstream.py, Apache-2.0), zero-shot. Nothing here needs libtorch.
#ifndef SEEDNORM_LAB_LANGUAGE_EVAL_TASK_H_
#define SEEDNORM_LAB_LANGUAGE_EVAL_TASK_H_

#include <string>
#include <string_view>
#include <vector>

#include "lab/language/eval/data_folder.h"

namespace seednorm::lab {

// The quantity whose largest value decides the answer.
enum class Metric {
  kAcc,      // log-likelihood
  kLenNorm,  // log-likelihood / characters of the continuation without its leading blank
};
inline const char* name_of(Metric metric) { return metric == Metric::kAcc ? "acc" : "len_norm"; }

// A question in the form for the model. Each continuation is a choice; it follows the common context or its
// own one.
struct Document {
  std::vector<std::string> contexts;       // one, or one for each continuation
  std::vector<std::string> continuations;  // each begins with a blank
  int64_t gold = 0;                        // index of the right choice
  std::string place;                       // "FILE:LINE", for errors
  std::string group;      // of documents that are scored together; empty for tasks without groups
  std::string source;     // of the texts, if they are not the original's: "text dump"
  int64_t question = -1;  // documents with the same number ask the same question; -1: no other does

  const std::string& context(size_t choice) const { return contexts[contexts.size() == 1 ? 0 : choice]; }
};

struct Task {
  std::string name;  // set by all_tasks()
  Metric metric = Metric::kAcc;
  // The documents in order. Errors (UserError, "FILE:LINE: field: what is wrong"): a file is missing, or a
  // line is not as expected.
  std::vector<Document> (*read)(const DataFolder& folder) = nullptr;
};

// One for each line of tasks.def, in its order.
const std::vector<Task>& all_tasks();
// The task of this name, or null.
const Task* find_task(std::string_view name);
// The tasks of a list, each once; "all" is all of them. Other names go to `others`.
std::vector<const Task*> named_tasks(const std::vector<std::string>& names, std::vector<std::string>* others);

#define SEEDNORM_TASK(name) Task name##_task();
#include "lab/language/eval/tasks.def"
#undef SEEDNORM_TASK

// For the tasks' files: the documents of NAME.jsonl, one per line, made by `make`, which need not set
// `place`.
std::vector<Document> read_documents(const DataFolder& folder, const std::string& name,
                                     Document (*make)(const JsonField& line));

// A choice as a continuation, with a leading blank. Errors (UserError): it is not a text, or is empty.
std::string continuation_of(const JsonField& text);
// "choices": {"text": [...]} as continuations, and the position of "answerKey", A to E or 1 to 5, as gold.
void add_lettered_choices(const JsonField& line, Document& document);
// "Question: Q\nAnswer:"
std::string question_and_answer(const std::string& question);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_EVAL_TASK_H_

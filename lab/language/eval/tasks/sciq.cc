// SciQ (arXiv 1707.06209): science with a text that supports the answer, which may be empty: the context then
// begins with the line feed. The right choice is always the last, so that a model that scores all
// choices alike gets nothing.
#include "lab/language/eval/python_text.h"
#include "lab/language/eval/task.h"

namespace seednorm::lab {

Task sciq_task() {
  return {.metric = Metric::kAcc, .read = [](const DataFolder& folder) {
            return read_documents(folder, "sciq.validation", [](const JsonField& line) {
              const std::string support(strip(line["support"].string()));
              Document out{.contexts = {support + "\n" + question_and_answer(line["question"].string())},
                           .gold = 3};
              for (const char* field : {"distractor1", "distractor2", "distractor3", "correct_answer"}) {
                out.continuations.push_back(continuation_of(line[field]));
              }
              return out;
            });
          }};
}

}  // namespace seednorm::lab

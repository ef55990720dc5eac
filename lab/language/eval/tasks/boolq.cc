// BoolQ (arXiv 1905.10044): a yes-or-no question after a passage. The title is not part of the prompt.
#include "lab/language/eval/task.h"

namespace seednorm::lab {

Task boolq_task() {
  return {.metric = Metric::kAcc, .read = [](const DataFolder& folder) {
            return read_documents(folder, "boolq.validation", [](const JsonField& line) {
              const std::string question = question_and_answer(line["question"].string() + "?");
              return Document{.contexts = {line["passage"].string() + "\n" + question},
                              .continuations = {" yes", " no"},
                              .gold = line["answer"].boolean() ? 0 : 1};
            });
          }};
}

}  // namespace seednorm::lab

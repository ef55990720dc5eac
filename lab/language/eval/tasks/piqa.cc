// PIQA (arXiv 1911.11641): two ways to reach a goal. The texts are used as they are, untidy or not.
#include "lab/language/eval/task.h"

namespace seednorm::lab {

Task piqa_task() {
  return {.metric = Metric::kLenNorm, .read = [](const DataFolder& folder) {
            return read_documents(folder, "piqa.validation", [](const JsonField& line) {
              return Document{.contexts = {question_and_answer(line["goal"].string())},
                              .continuations = {continuation_of(line["sol1"]), continuation_of(line["sol2"])},
                              .gold = line["label"].integer(0, 1)};
            });
          }};
}

}  // namespace seednorm::lab

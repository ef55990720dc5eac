// ARC-Easy (arXiv 1803.05457): school science.
#include "lab/language/eval/task.h"

namespace seednorm::lab {

Task arc_easy_task() {
  return {.metric = Metric::kAcc, .read = [](const DataFolder& folder) {
            return read_documents(folder, "arc_easy.validation", [](const JsonField& line) {
              Document out{.contexts = {question_and_answer(line["question"].string())}};
              add_lettered_choices(line, out);
              return out;
            });
          }};
}

}  // namespace seednorm::lab

// ARC-Challenge (arXiv 1803.05457): school science, the questions that simple methods get wrong.
#include "lab/language/eval/task.h"

namespace seednorm::lab {

Task arc_challenge_task() {
  return {.metric = Metric::kLenNorm, .read = [](const DataFolder& folder) {
            return read_documents(folder, "arc_challenge.validation", [](const JsonField& line) {
              Document out{.contexts = {question_and_answer(line["question"].string())}};
              add_lettered_choices(line, out);
              return out;
            });
          }};
}

}  // namespace seednorm::lab

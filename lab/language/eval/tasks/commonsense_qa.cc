// CommonsenseQA (arXiv 1811.00937).
#include "lab/language/eval/task.h"

namespace seednorm::lab {

Task commonsense_qa_task() {
  return {.metric = Metric::kLenNorm, .read = [](const DataFolder& folder) {
            return read_documents(folder, "csqa.validation", [](const JsonField& line) {
              Document out{.contexts = {question_and_answer(line["question"].string())}};
              add_lettered_choices(line, out);
              return out;
            });
          }};
}

}  // namespace seednorm::lab

// OpenBookQA (arXiv 1809.02789): sentences of elementary science to complete, so the context is the bare
// stem.
#include "lab/language/eval/task.h"

namespace seednorm::lab {

Task openbook_qa_task() {
  return {.metric = Metric::kLenNorm, .read = [](const DataFolder& folder) {
            return read_documents(folder, "openbookqa.validation", [](const JsonField& line) {
              Document out{.contexts = {line["question_stem"].string()}};
              add_lettered_choices(line, out);
              return out;
            });
          }};
}

}  // namespace seednorm::lab

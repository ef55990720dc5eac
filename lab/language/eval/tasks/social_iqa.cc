// Social IQA (arXiv 1904.09728): the intentions and feelings of people.
#include "lab/base/error.h"
#include "lab/language/eval/task.h"

namespace seednorm::lab {

Task social_iqa_task() {
  return {.metric = Metric::kLenNorm, .read = [](const DataFolder& folder) {
            return read_documents(folder, "socialiqa.validation", [](const JsonField& line) {
              const std::string& label = line["label"].string();
              if (label != "1" && label != "2" && label != "3") {
                line["label"].fail("expected \"1\", \"2\" or \"3\", got " + quote(label));
              }
              const std::string question = line["context"].string() + " " + line["question"].string();
              Document out{.contexts = {question_and_answer(question)}, .gold = label[0] - '1'};
              for (const char* field : {"answerA", "answerB", "answerC"}) {
                out.continuations.push_back(continuation_of(line[field]));
              }
              return out;
            });
          }};
}

}  // namespace seednorm::lab

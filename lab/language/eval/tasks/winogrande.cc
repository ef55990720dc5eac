// WinoGrande (arXiv 1907.10641): which of two names fills the gap. The text after the gap is scored after
// either name, so the contexts differ and the continuation is the same.
#include "lab/base/error.h"
#include "lab/language/eval/python_text.h"
#include "lab/language/eval/task.h"

namespace seednorm::lab {

Task winogrande_task() {
  return {.metric = Metric::kAcc, .read = [](const DataFolder& folder) {
            return read_documents(folder, "winogrande.validation", [](const JsonField& line) {
              const std::string &sentence = line["sentence"].string(), &answer = line["answer"].string();
              if (answer != "1" && answer != "2")
                line["answer"].fail("expected \"1\" or \"2\", got " + quote(answer));
              const size_t gap = sentence.find('_');
              const std::string after(
                  strip(std::string_view(sentence).substr(gap == std::string::npos ? 0 : gap + 1)));
              if (gap == std::string::npos || after.empty()) {
                line["sentence"].fail("expected a gap \"_\" and text after it, got " + quote(sentence));
              }
              const std::string before = sentence.substr(0, gap);
              return Document{
                  .contexts = {before + line["option1"].string(), before + line["option2"].string()},
                  .continuations = {" " + after, " " + after},
                  .gold = answer[0] - '1'};
            });
          }};
}

}  // namespace seednorm::lab

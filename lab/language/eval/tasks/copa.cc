// COPA (Roemmele, Bejan and Gordon, 2011): the cause or the effect of an event.
#include "lab/base/error.h"
#include "lab/language/eval/python_text.h"
#include "lab/language/eval/task.h"

namespace seednorm::lab {
namespace {

// The premise continues, so its full stop is removed.
std::string context_of(const JsonField& line) {
  const std::string& kind = line["question"].string();
  if (kind != "cause" && kind != "effect")
    line["question"].fail("expected cause or effect, got " + quote(kind));
  std::string premise(strip(line["premise"].string()));
  if (premise.empty()) line["premise"].fail("expected a sentence, got none");
  premise.pop_back();
  return premise + (kind == "cause" ? " because" : " therefore");
}

std::string choice(const JsonField& text) { return " " + lower_first(continuation_of(text).substr(1)); }

}  // namespace

Task copa_task() {
  return {.metric = Metric::kAcc, .read = [](const DataFolder& folder) {
            return read_documents(folder, "copa.validation", [](const JsonField& line) {
              return Document{.contexts = {context_of(line)},
                              .continuations = {choice(line["choice1"]), choice(line["choice2"])},
                              .gold = line["label"].integer(0, 1)};
            });
          }};
}

}  // namespace seednorm::lab

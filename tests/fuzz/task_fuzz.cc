// A task's name in a line, then any bytes: its file of documents, or an error in one line. Documents are
// scored.
#include "lab/language/eval/metrics.h"
#include "lab/language/eval/requests.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace seednorm::lab;
  const std::string_view bytes = bytes_of(data, size);
  const size_t end = bytes.find('\n');
  const Task* task = find_task(bytes.substr(0, end));
  if (task == nullptr || end == std::string_view::npos) return 0;
  return or_one_line([&] {
    std::map<std::string, std::string> files;
    for (const char* name : {"piqa", "hellaswag", "arc_challenge", "arc_easy", "mmlu", "winogrande",
                             "openbookqa", "sciq", "copa", "boolq", "csqa", "socialiqa"}) {
      files[std::string(name) + ".validation.jsonl"] = bytes.substr(end + 1);
    }
    files["mmlu.dev.jsonl"] = files["mmlu.validation.jsonl"];
    const TaskRequests requests =
        prepare_task(*task, DataFolder(files), Tokenizer::bytes(), {.model_context = 256, .documents = 20});
    std::vector<std::vector<double>> values;
    for (const EncodedDocument& d : requests.encoded) values.emplace_back(d.continuations.size(), -1.0);
    const Scores scores = score(requests.documents, values);
    require(scores.acc >= 0 && scores.acc <= 1 && scores.bpb > 0);
  });
}

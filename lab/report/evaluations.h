// The results of `seednorm eval`, for the page.
#ifndef SEEDNORM_LAB_REPORT_EVALUATIONS_H_
#define SEEDNORM_LAB_REPORT_EVALUATIONS_H_

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace seednorm::lab {

// The file of an evaluation: `path` itself, if it is a file, or eval.json in a folder that has one.
std::optional<std::filesystem::path> evaluation_file(const std::filesystem::path& path);

// {"name", "file", "model", "tokenizer", "tasks": {name: {"metric", "value", "stderr", "docs", "source"}},
//  "perplexity": {name: {"loss", "ppl", "tokens"}}}. Damaged parts are left out, and
//  each is reported in a sentence of `notes`. Errors (UserError): the file is not an evaluation.
nlohmann::ordered_json read_evaluation(const std::filesystem::path& file, std::vector<std::string>& notes);

// "a: 41.3% of 12 tasks, the mean; b: ..." for evaluations from read_evaluation.
std::string evaluations_answer(const nlohmann::ordered_json& evaluations);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_REPORT_EVALUATIONS_H_

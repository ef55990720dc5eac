#include "lab/report/evaluations.h"

#include <cmath>
#include <cstdio>

#include "lab/base/error.h"
#include "lab/base/file.h"
#include "lab/base/json_field.h"
#include "lab/report/fields.h"

namespace seednorm::lab {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr size_t kMaxBytes = size_t{1} << 24;

// The results of one kind, with the numbers `keys` of each (the first is required) and its texts.
Json read_results(const Json& all, std::initializer_list<const char*> keys, const fs::path& file,
                  std::vector<std::string>& notes) {
  Json out = Json::object();
  for (const auto& [name, result] : all.items()) {
    if (std::isnan(number_at(result, *keys.begin()))) {
      notes.push_back(file.string() + ": " + quote(name) + " has no number \"" + *keys.begin() +
                      "\" and was left out.");
      continue;
    }
    for (const char* key : keys) out[name][key] = rounded(number_at(result, key));
    for (const char* key : {"metric", "source"}) {
      if (const std::string text = text_at(result, key); !text.empty()) out[name][key] = text;
    }
  }
  return out;
}

// The name of a model, which is that of its folder or of its run and checkpoint ("RUN/checkpoints/step-100").
std::string name_of_model(const std::string& model, const fs::path& file) {
  fs::path path = fs::path(model).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();
  if (path.empty()) path = file.parent_path();
  const fs::path above = path.parent_path();
  if (above.filename() != "checkpoints") return path.filename().string();
  return above.parent_path().filename().string() + ", " + path.filename().string();
}

}  // namespace

std::optional<fs::path> evaluation_file(const fs::path& path) {
  if (fs::is_regular_file(path)) return path;
  const fs::path inside = path / "eval.json";
  return fs::is_regular_file(inside) ? std::optional(inside) : std::nullopt;
}

Json read_evaluation(const fs::path& file, std::vector<std::string>& notes) {
  const Json json = parse_json_or_null(read_file(file, kMaxBytes));
  const Json tasks = object_at(json, "tasks"), sets = object_at(json, "perplexity");
  if (!json.is_object() || !(json.contains("tasks") || json.contains("perplexity"))) {
    throw UserError(file.string() +
                    ": is no result of seednorm eval; expected an object with \"tasks\" and \"perplexity\"");
  }
  const std::string model = text_at(json, "model");
  return {{"name", name_of_model(model, fs::absolute(file))},
          {"file", file.string()},
          {"model", model},
          {"tokenizer", text_at(json, "tokenizer")},
          {"tasks", read_results(tasks, {"value", "stderr", "docs"}, file, notes)},
          {"perplexity", read_results(sets, {"loss", "ppl", "tokens"}, file, notes)}};
}

std::string evaluations_answer(const Json& evaluations) {
  std::string out;
  for (const Json& e : evaluations) {
    double sum = 0;
    for (const auto& [name, task] : e["tasks"].items()) sum += number_at(task, "value");
    const auto count = static_cast<double>(e["tasks"].size());
    char text[80];
    std::snprintf(text, sizeof text, "%.1f%%, the mean over %.0f %s", 100 * sum / count, count,
                  count == 1 ? "task" : "tasks");
    out += (out.empty() ? "" : "; ") + e["name"].get<std::string>() + ": " +
           (count > 0 ? text : "perplexity only");
  }
  return out + ".";
}

}  // namespace seednorm::lab

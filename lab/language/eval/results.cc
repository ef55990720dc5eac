#include "lab/language/eval/results.h"

#include <cstdio>

#include "lab/base/error.h"
#include "lab/base/file.h"
#include "lab/base/json_field.h"

namespace seednorm::lab {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr size_t kMaxResultBytes = size_t{1} << 20;

template <class... Args>
std::string format(const char* pattern, Args... args) {
  char line[200];
  std::snprintf(line, sizeof line, pattern, args...);
  return line;
}

std::string with_source(const std::string& name, const Json& task) {
  return task.contains("source") ? name + " (" + task["source"].get<std::string>() + ")" : name;
}

std::string task_row(const std::string& name, const Json& task) {
  std::string out =
      format("%-24s %-9s %6.2f %6.2f %7lld %8lld %6lld %8.1f\n", with_source(name, task).c_str(),
             task["metric"].get<std::string>().c_str(), 100 * task["value"].get<double>(),
             100 * task["stderr"].get<double>(), task["docs"].get<long long>(),
             task["requests"].get<long long>(), task["cut"].get<long long>(), task["seconds"].get<double>());
  if (task.contains("left_out")) {
    out += format("  %-22s %25s %7lld\n", "longer than the context", "", task["left_out"].get<long long>());
  }
  if (!task.contains("groups")) return out;
  for (const auto& [group, g] : task["groups"].items()) {
    out += format("  %-22s %-9s %6.2f %6.2f %7lld\n", group.c_str(), "", 100 * g["value"].get<double>(),
                  100 * g["stderr"].get<double>(), g["docs"].get<long long>());
  }
  return out + format("  %-22s %-9s %6.2f\n", "all documents alike", "", 100 * task["micro"].get<double>());
}

// Paths in it need not be UTF-8.
std::string text_of(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

void check_counts(const JsonField& result, std::initializer_list<const char*> names) {
  for (const char* name : names) result[name].integer(0, INT64_MAX);
}
void check_numbers(const JsonField& result, std::initializer_list<const char*> names) {
  for (const char* name : names) result[name].number();
}

// Errors (UserError): the JSON does not have the form of to_json.
void check_result(const JsonField& result) {
  if (result.find("metric").is_null()) {
    check_numbers(result, {"loss", "ppl", "seconds"});
    return check_counts(result, {"tokens", "chunks"});
  }
  result["metric"].string();
  check_numbers(result, {"value", "stderr", "seconds"});
  check_counts(result, {"docs", "requests", "cut"});
  if (const JsonField source = result.find("source"); !source.is_null()) source.string();
  if (const JsonField left_out = result.find("left_out"); !left_out.is_null()) left_out.integer(0, INT64_MAX);
  const JsonField groups = result.find("groups");
  if (groups.is_null()) return;
  for (const auto& [name, value] : groups.object().items()) {
    check_numbers(groups[name], {"value", "stderr"});
    check_counts(groups[name], {"docs"});
  }
  check_numbers(result, {"micro"});
}

}  // namespace

Json to_json(const TaskResult& result) {
  const Scores& s = result.scores;
  Json out = {{"metric", name_of(result.metric)},
              {"value", result.value},
              {"stderr", result.standard_error},
              {"docs", s.documents},
              {"requests", result.requests},
              {"cut", result.cut},
              {"seconds", result.seconds},
              {"scores", {{"acc", s.acc}, {"len_norm", s.len_norm}, {"ce_loss", s.ce_loss}, {"bpb", s.bpb}}}};
  if (result.left_out > 0) out["left_out"] = result.left_out;
  if (!result.source.empty()) out["source"] = result.source;
  if (result.groups.empty()) return out;
  for (const auto& [name, group] : result.groups) {
    out["groups"][name] = {{"value", group.value(result.metric)},
                           {"stderr", group.standard_error(result.metric)},
                           {"docs", group.documents}};
  }
  out["micro"] = s.value(result.metric);
  return out;
}

Json to_json(const SetResult& result) {
  return {{"loss", result.loss},
          {"ppl", result.perplexity},
          {"tokens", result.tokens},
          {"chunks", result.chunks},
          {"seconds", result.seconds}};
}

std::string results_table(const Json& results) {
  std::string out;
  if (const Json& tasks = results.at("tasks"); !tasks.empty()) {
    out += format("%-24s %-9s %6s %6s %7s %8s %6s %8s\n", "task", "metric", "%", "stderr", "docs", "requests",
                  "cut", "seconds");
    for (const auto& [name, task] : tasks.items()) out += task_row(name, task);
  }
  if (const Json& sets = results.at("perplexity"); !sets.empty()) {
    out += format("%-24s %9s %13s %16s %15s\n", "set", "loss", "perplexity", "tokens", "seconds");
    for (const auto& [name, set] : sets.items()) {
      out += format("%-24s %9.4f %13.3f %16lld %15.1f\n", name.c_str(), set["loss"].get<double>(),
                    set["ppl"].get<double>(), set["tokens"].get<long long>(), set["seconds"].get<double>());
    }
  }
  return out;
}

ResultStore::ResultStore(fs::path folder) : folder_(std::move(folder)) { make_folder(folder_ / "results"); }

fs::path ResultStore::file_of(const std::string& name) const {
  return folder_ / "results" / (plain_file_name(name) + ".json");
}

std::optional<Json> ResultStore::find(const std::string& name, const std::string& fingerprint) const {
  const fs::path file = file_of(name);
  if (!fs::exists(file)) return std::nullopt;
  const std::string text = read_file(file, kMaxResultBytes);
  const nlohmann::json json = parse_json(text, file.string());
  const JsonField root(json, file.string());
  if (root["fingerprint"].string() != fingerprint) {
    throw UserError(file.string() +
                    ": belongs to another model, other data or other settings; choose another --out");
  }
  check_result(root["result"]);
  return Json::parse(text)["result"];
}

void ResultStore::keep(const std::string& name, const std::string& fingerprint, const Json& result) const {
  replace_file(file_of(name), text_of({{"fingerprint", fingerprint}, {"result", result}}));
}

void ResultStore::finish(const Json& results) const { replace_file(folder_ / "eval.json", text_of(results)); }

}  // namespace seednorm::lab

#include "lab/report/collect.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <string>

#include "lab/base/error.h"
#include "lab/base/file.h"
#include "lab/base/json_field.h"
#include "lab/report/command.h"
#include "lab/report/evaluations.h"
#include "lab/report/fields.h"
#include "lab/report/metrics.h"

namespace seednorm::lab {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using Notes = std::vector<std::string>;

constexpr size_t kMaxConfigBytes = size_t{1} << 20, kMaxResultsBytes = size_t{1} << 28;

// "out/race/" has a name too.
fs::path normal(const fs::path& dir) {
  const fs::path path = fs::absolute(dir).lexically_normal();
  return path.has_filename() ? path : path.parent_path();
}

// An object of a file; an empty one, and a note, if it is missing or damaged.
Json read_object(const fs::path& file, const char* without, Notes& notes) {
  std::string why = " is not there";
  if (fs::is_regular_file(file)) {
    const Json json = parse_json_or_null(read_file(file, kMaxResultsBytes));
    if (json.is_object()) return json;
    why = " is damaged";
  }
  notes.push_back(file.string() + why + ": " + without + ".");
  return Json::object();
}

// A setting of a run's config.toml as it is written there; empty if there is none. The files are the
// trainer's own: a setting a line.
std::string setting(const std::string& config, const std::string& key) {
  std::stringstream lines(config);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(key + " = ")) return line.substr(key.size() + 3);
  }
  return "";
}

// A run's folder is LABEL-sSEED, with ~ for characters of the label that do not suit a folder's name.
std::pair<std::string, int64_t> split_name(const std::string& name) {
  const size_t at = name.rfind("-s");
  if (at == std::string::npos || at + 2 == name.size() || name.size() - at > 12) return {name, 0};
  for (size_t i = at + 2; i < name.size(); ++i) {
    if (std::isdigit(static_cast<unsigned char>(name[i])) == 0) return {name, 0};
  }
  return {name.substr(0, at), std::stoll(name.substr(at + 2))};
}

// Fills in what results.json would say of a run, from its metrics.
void summarize(Json& run) {
  const Json metrics = run["metrics"];  // a copy: new members move the old ones
  const Json &train = metrics.at("train"), &valid = metrics.at("valid");
  const auto last = [&](const char* key) { return train.at(key).empty() ? Json() : train.at(key).back(); };
  run["steps"] = last("step");
  run["tokens"] = last("tokens");
  run["seconds"] = last("seconds");
  run["train_loss"] = last("ema");
  run["valid"] = valid.empty() ? Json::object() : valid.back().at("valid");
  double sum = 0;
  for (const auto& [name, loss] : run["valid"].items()) {
    sum += loss.is_number() ? loss.get<double>() : std::numeric_limits<double>::quiet_NaN();
  }
  run["val_loss"] =
      run["valid"].empty() ? Json() : rounded(sum / static_cast<double>(run["valid"].size()), 7);
  const double seconds = number_at(run, "seconds");
  run["tokens_per_s"] = seconds > 0 ? rounded(number_at(run, "tokens") / seconds) : Json();
  const std::string steps = setting(run["config"], "steps");
  const bool is_done = !steps.empty() && run["steps"].is_number() && steps == run["steps"].dump();
  run["state"] = metrics.contains("diverged_at") ? "diverged" : is_done ? "finished" : "unfinished";
}

Json read_run(const fs::path& dir, const std::string& entrant, int64_t seed, size_t group, Notes& notes) {
  Json run = {{"group", group}, {"entrant", entrant}, {"seed", seed}};
  const fs::path config = dir / "config.toml";
  run["config"] = fs::is_regular_file(config) ? read_file(config, kMaxConfigBytes) : "";
  if (run["config"] == "") notes.push_back(config.string() + " is not there or empty.");
  run["metrics"] = read_metrics(dir / "metrics.jsonl", notes);
  summarize(run);
  return run;
}

// What results.json says of a run has the last word over what the metrics say.
void take_result(Json& run, const Json& result) {
  for (const char* key : {"steps", "tokens", "seconds", "train_loss", "val_loss", "tokens_per_s"}) {
    if (result.contains(key)) run[key] = rounded(number_at(result, key), 10);
  }
  run["state"] = result.value("diverged", Json()) == true ? "diverged" : "finished";
}

class Race {
 public:
  Race(const fs::path& dir, size_t index, bool with_name, Notes& notes)
      : dir_(dir), index_(index), notes_(notes), prefix_(with_name ? dir.filename().string() + ": " : "") {
    asked_ = read_object(dir / "race.json", "the order of the entrants and the command are not known", notes);
    results_ = read_object(dir / "results.json", "no run of it has finished, or its results are lost", notes);
  }

  Json group() {
    const Json entrants = array_at(asked_, "entrants");
    const double seeds = number_at(asked_, "seeds");
    Json out = {{"name", dir_.filename().string()},
                {"kind", "race"},
                {"dir", dir_.string()},
                {"recipe", text_at(results_, "recipe")},
                {"seeds", rounded(seeds)}};
    out["entrants"] = labels_;
    out["pairs"] = pairs();
    if (results_.contains("machine")) out["machine"] = results_["machine"];
    out["config"] = text_at(asked_, "recipe");
    if (!entrants.empty()) out["command"] = race_command(asked_);
    return out;
  }

  Json runs() {
    for (const Json& entrant : array_at(asked_, "entrants")) add_label(text_at(entrant, "label"));
    Json out = Json::array();
    std::set<std::string> seen;
    for (const Json& result : array_at(results_, "runs")) {
      const std::string name = fs::path(text_at(result, "dir")).filename().string();
      if (name.empty()) continue;
      seen.insert(name);
      const double seed = number_at(result, "seed");
      Json run = read_run(dir_ / "runs" / name, add_label(text_at(result, "norm")),
                          std::isnan(seed) ? 0 : static_cast<int64_t>(seed), index_, notes_);
      take_result(run, result);
      out.push_back(std::move(run));
    }
    add_others(seen, out);
    return out;
  }

 private:
  // Runs that the results do not have: those under way, or all where the results are lost.
  void add_others(const std::set<std::string>& seen, Json& out) {
    std::set<fs::path> folders;
    std::error_code none;
    for (const auto& entry : fs::directory_iterator(dir_ / "runs", none)) {
      if (entry.is_directory() && !seen.contains(entry.path().filename().string())) {
        folders.insert(entry.path());
      }
    }
    for (const fs::path& folder : folders) {
      auto [label, seed] = split_name(folder.filename().string());
      for (const Json& entrant : array_at(asked_, "entrants")) {
        if (plain_file_name(text_at(entrant, "label")) == label) label = text_at(entrant, "label");
      }
      out.push_back(read_run(folder, add_label(label), seed, index_, notes_));
    }
  }

  std::string add_label(const std::string& label) {
    const std::string full = prefix_ + label;
    if (std::find(labels_.begin(), labels_.end(), full) == labels_.end()) labels_.push_back(full);
    return full;
  }

  Json pairs() const {
    Json out = Json::array();
    for (Json pair : array_at(results_, "pairs")) {
      if (!pair.is_object() || text_at(pair, "a").empty() || text_at(pair, "b").empty()) continue;
      pair["a"] = prefix_ + text_at(pair, "a");
      pair["b"] = prefix_ + text_at(pair, "b");
      out.push_back(std::move(pair));
    }
    return out;
  }

  fs::path dir_;
  size_t index_;
  Notes& notes_;
  std::string prefix_;
  Json asked_, results_;
  std::vector<std::string> labels_;
};

Json lone_run(const fs::path& dir, size_t index, std::set<std::string>& taken, Json& runs, Notes& notes) {
  auto [label, seed] = split_name(dir.filename().string());
  if (!taken.insert(label + "\n" + std::to_string(seed)).second) label = dir.string();
  Json run = read_run(dir, label, seed, index, notes);
  const std::string written = setting(run["config"], "seed");
  if (!written.empty() && written.find_first_not_of("0123456789") == std::string::npos &&
      written.size() < 19) {
    run["seed"] = std::stoll(written);
  }
  Json out = {{"name", dir.filename().string()},
              {"kind", "run"},
              {"dir", dir.string()},
              {"recipe", ""},
              {"seeds", 1},
              {"entrants", {label}},
              {"pairs", Json::array()},
              {"config", run["config"]},
              {"command", run_command()}};
  runs.push_back(std::move(run));
  return out;
}

bool is_race(const fs::path& dir) {
  return fs::exists(dir / "race.json") || fs::exists(dir / "results.json") || fs::is_directory(dir / "runs");
}

void add_state_notes(const Json& runs, Notes& notes) {
  for (const Json& run : runs) {
    const std::string name = run["entrant"].get<std::string>() + ", seed " + run["seed"].dump();
    if (run["state"] == "unfinished") notes.push_back(name + " has not finished.");
    if (run["metrics"]["valid"].empty()) notes.push_back(name + " has no validation losses.");
  }
}

// Of models with the same name, the later one goes by the evaluation's file.
Json named_evaluation(const fs::path& file, const Json& others, Notes& notes) {
  Json out = read_evaluation(file, notes);
  for (const Json& other : others) {
    if (other["name"] == out["name"]) out["name"] = file.string();
  }
  return out;
}

}  // namespace

nlohmann::ordered_json collect(const std::vector<fs::path>& dirs) {
  if (dirs.empty()) throw UserError("no folder of a race, a run or an evaluation given to report on");
  Json groups = Json::array(), runs = Json::array(), evaluations = Json::array();
  Notes notes;
  std::set<std::string> taken;
  for (const fs::path& given : dirs) {
    if (!fs::exists(given)) throw UserError(given.string() + ": no such folder or file");
    const fs::path dir = normal(given);
    const auto evaluation = evaluation_file(dir);
    if (evaluation) evaluations.push_back(named_evaluation(*evaluation, evaluations, notes));
    if (is_race(dir)) {
      Race race(dir, groups.size(), dirs.size() > 1, notes);
      for (Json& run : race.runs()) runs.push_back(std::move(run));
      groups.push_back(race.group());
    } else if (fs::exists(dir / "config.toml") || fs::exists(dir / "metrics.jsonl")) {
      groups.push_back(lone_run(dir, groups.size(), taken, runs, notes));
    } else if (!evaluation) {
      throw UserError(
          given.string() +
          ": holds neither a race (race.json) nor a run (config.toml, metrics.jsonl) nor an evaluation "
          "(eval.json)");
    }
  }
  add_state_notes(runs, notes);
  return {{"groups", groups}, {"runs", runs}, {"evaluations", evaluations}, {"notes", notes}};
}

}  // namespace seednorm::lab

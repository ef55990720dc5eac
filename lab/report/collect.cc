#include "lab/report/collect.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>

#include "lab/base/error.h"
#include "lab/base/file.h"
#include "lab/report/command.h"
#include "lab/report/compatibility.h"
#include "lab/report/evaluations.h"
#include "lab/report/fields.h"
#include "lab/report/run_folder.h"

namespace seednorm::lab {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using Notes = std::vector<std::string>;

// The name of a folder, also for "out/race/".
fs::path normal(const fs::path& dir) {
  const fs::path path = fs::absolute(dir).lexically_normal();
  return path.has_filename() ? path : path.parent_path();
}

class RaceFolder {
 public:
  RaceFolder(const fs::path& dir, bool with_name, Notes& notes)
      : dir_(dir), notes_(notes), prefix_(with_name ? dir.filename().string() + ": " : "") {
    asked_ = read_object(dir / "race.json", "the order of the entrants and the command are not known", notes);
    results_ = read_object(dir / "results.json", "no run of it has finished, or its results are lost", notes);
  }

  ReportGroup read() {
    out_.name = dir_.filename().string();
    out_.dir = dir_.string();
    out_.is_race = true;
    const double seeds = number_at(asked_, "seeds");
    out_.seeds = seeds >= 1 && seeds < 1e9 ? static_cast<int64_t>(seeds) : 1;
    out_.config = text_at(asked_, "recipe");
    const Json entrants = array_at(asked_, "entrants");
    if (!entrants.empty()) {
      out_.command = race_command(asked_);
      if (out_.seeds == 1) out_.interval_command = interval_command(asked_, out_.name);
    }
    for (const Json& entrant : entrants) {
      if (const std::string label = text_at(entrant, "label"); !label.empty()) add_label(label);
    }
    out_.race = race_summary(results_, first_run_info());
    read_finished();
    read_others();
    add_prefix(out_.race.pairs);
    add_prefix(out_.race.tuned);
    add_prefix(out_.race.reach);
    add_prefix(out_.race.trends);
    add_prefix(out_.race.noise);
    for (SweepSummary& sweep : out_.race.sweeps) sweep.entrant = prefix_ + sweep.entrant;
    complete_equal_time();
    return std::move(out_);
  }

 private:
  template <class T>
  void add_prefix(std::vector<T>& pairs) {
    for (T& pair : pairs) {
      pair.a = prefix_ + pair.a;
      pair.b = prefix_ + pair.b;
    }
  }

  // Of a race whose results do not say it.
  RunInfo first_run_info() {
    for (const fs::path& folder : run_folders()) return read_run_info(folder, notes_);
    return language_run();
  }

  std::set<fs::path> run_folders() const {
    std::set<fs::path> out;
    std::error_code none;
    for (const auto& entry : fs::directory_iterator(dir_ / "runs", none)) {
      if (entry.is_directory()) out.insert(entry.path());
    }
    return out;
  }

  // The runs of results.json, which takes precedence over their curves.
  void read_finished() {
    for (RunSummary& result : out_.race.runs) {
      const std::string name = fs::path(result.dir).filename().string();
      if (name.empty()) continue;
      seen_.insert(name);
      ReportRun run =
          read_run(dir_ / "runs" / name, add_label(result.entrant), result.seed, out_.race.info, notes_);
      result.entrant = run.summary.entrant;
      if (!result.diverged_at) result.diverged_at = run.summary.diverged_at;
      for (const auto& [metric, value] : run.summary.values) {
        if (std::isnan(result.value(metric))) result.values.emplace_back(metric, value);
      }
      run.summary = std::move(result);
      run.state = run.summary.diverged ? RunState::kDiverged : RunState::kFinished;
      out_.runs.push_back(std::move(run));
    }
    out_.race.runs.clear();
  }

  // The runs that the results do not have: unfinished ones, or all if the results are lost.
  void read_others() {
    for (const fs::path& folder : run_folders()) {
      if (seen_.contains(folder.filename().string())) continue;
      auto [label, seed] = split_run_name(folder.filename().string());
      for (const Json& entrant : array_at(asked_, "entrants")) {
        if (plain_file_name(text_at(entrant, "label")) == label) label = text_at(entrant, "label");
      }
      out_.runs.push_back(read_run(folder, add_label(label), seed, out_.race.info, notes_));
    }
  }

  // For results that were written before equal time had one meaning, values are computed from the curves, and
  // pairs, which used the faster one of each two, are left out.
  void complete_equal_time() {
    if (results_.contains("equal_time_s") || out_.race.info.metrics.empty()) return;
    std::vector<RunSummary> finished;
    for (const ReportRun& run : out_.runs) {
      if (run.state == RunState::kFinished) finished.push_back(run.summary);
    }
    out_.race.equal_time_s = equal_time(finished);
    const std::string metric = out_.race.info.metrics[0].name;
    const std::string at_equal_time = metric + kEqualTime;
    for (ReportRun& run : out_.runs) {
      if (run.state != RunState::kFinished) continue;
      std::vector<std::pair<double, double>> curve;
      for (const Measured& m : run.curves.measured) {
        for (const auto& [name, value] : m.values) {
          if (name == metric && std::isfinite(m.seconds)) curve.emplace_back(m.seconds, value);
        }
      }
      const double value = value_at(curve, out_.race.equal_time_s);
      if (std::isfinite(value)) run.summary.values.emplace_back(at_equal_time, value);
    }
    const auto is_old = [&](const PairSummary& pair) { return pair.metric == at_equal_time; };
    if (std::erase_if(out_.race.pairs, is_old) > 0) {
      notes_.push_back((dir_ / "results.json").string() +
                       " is of an older version, which compared each two norms at another time; the "
                       "differences at equal time were left out. The command that made the race makes them "
                       "again, without training.");
    }
  }

  std::string add_label(const std::string& label) {
    const std::string full = prefix_ + label;
    if (std::find(out_.entrants.begin(), out_.entrants.end(), full) == out_.entrants.end()) {
      out_.entrants.push_back(full);
    }
    return full;
  }

  fs::path dir_;
  Notes& notes_;
  std::string prefix_;
  Json asked_, results_;
  ReportGroup out_;
  std::set<std::string> seen_;
};

ReportGroup lone_run(const fs::path& dir, std::set<std::string>& taken, Notes& notes) {
  auto [label, seed] = split_run_name(dir.filename().string());
  if (!taken.insert(label + "\n" + std::to_string(seed)).second) label = dir.string();
  ReportGroup out;
  out.name = dir.filename().string();
  out.dir = dir.string();
  out.entrants = {label};
  out.race.info = read_run_info(dir, notes);
  ReportRun run = read_run(dir, label, seed, out.race.info, notes);
  const std::string written = setting_of(run.config, "seed");
  if (!written.empty() && written.find_first_not_of("0123456789") == std::string::npos &&
      written.size() < 19) {
    run.summary.seed = std::stoll(written);
  }
  out.config = run.config;
  out.command = run_command();
  out.runs.push_back(std::move(run));
  return out;
}

bool is_race(const fs::path& dir) {
  return fs::exists(dir / "race.json") || fs::exists(dir / "results.json") || fs::is_directory(dir / "runs");
}

void add_state_notes(const std::vector<ReportGroup>& groups, Notes& notes) {
  for (const ReportGroup& group : groups) {
    for (const ReportRun& run : group.runs) {
      const std::string name = run.summary.entrant + ", seed " + std::to_string(run.summary.seed);
      if (run.state == RunState::kUnfinished) notes.push_back(name + " has not finished.");
      if (run.state != RunState::kDiverged && run.curves.measured.empty())
        notes.push_back(name + " was never validated.");
    }
  }
}

// If models have the same name, the later one is named after the file of its evaluation.
Json named_evaluation(const fs::path& file, const Json& others, Notes& notes) {
  Json out = read_evaluation(file, notes);
  for (const Json& other : others) {
    if (other["name"] == out["name"]) out["name"] = file.string();
  }
  return out;
}

}  // namespace

Report collect(const std::vector<fs::path>& dirs) {
  if (dirs.empty()) throw UserError("no folder of a race, a run or an evaluation given to report on");
  Report out;
  out.evaluations = Json::array();
  std::set<std::string> taken;
  for (const fs::path& given : dirs) {
    if (!fs::exists(given)) throw UserError(given.string() + ": no such folder or file");
    const fs::path dir = normal(given);
    const auto evaluation = evaluation_file(dir);
    if (evaluation) out.evaluations.push_back(named_evaluation(*evaluation, out.evaluations, out.notes));
    if (is_race(dir)) {
      out.groups.push_back(RaceFolder(dir, dirs.size() > 1, out.notes).read());
    } else if (fs::exists(dir / "config.toml") || fs::exists(dir / "metrics.jsonl")) {
      out.groups.push_back(lone_run(dir, taken, out.notes));
    } else if (!evaluation) {
      throw UserError(
          given.string() +
          ": holds neither a race (race.json) nor a run (config.toml, metrics.jsonl) nor an evaluation "
          "(eval.json)");
    }
  }
  add_state_notes(out.groups, out.notes);
  return out;
}

}  // namespace seednorm::lab

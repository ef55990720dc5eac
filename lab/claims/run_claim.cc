#include "lab/claims/run_claim.h"

#include <algorithm>
#include <cstdio>

#include "lab/base/error.h"
#include "lab/base/file.h"
#include "lab/base/interrupt.h"
#include "lab/base/json_field.h"
#include "lab/train/checkpoint.h"

namespace seednorm::lab {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxResultsBytes = size_t{1} << 28;
const std::string kRecipe = "recipe=";

std::vector<std::string> data_settings(const ClaimRun& run, const std::string& data) {
  const bool is_text = data == "text";
  const fs::path& folder = is_text ? run.text : run.digits;
  if (!fs::is_directory(is_text ? folder / "train" : folder)) {
    throw UserError(folder.string() + ": the data of the claims is missing; script/demo" +
                    (is_text ? "" : " vision") + " makes it, or name another folder with --" + data);
  }
  if (!is_text) return {"train_data=" + folder.string()};
  return {"train_data=" + (folder / "train").string(), "valid_data=" + (folder / "valid").string()};
}

// The race and the entrant of "RACE/ENTRANT"; both empty for an empty text.
std::pair<std::string, std::string> origin_of(const std::string& init_from) {
  const size_t slash = init_from.find('/');
  if (slash == std::string::npos) return {};
  return {init_from.substr(0, slash), init_from.substr(slash + 1)};
}

// Adds a race to the list, if it is not there, behind the one whose weights it begins with.
void add_with_origin(const std::string& race, std::vector<std::string>& names) {
  if (std::find(names.begin(), names.end(), race) != names.end()) return;
  const std::string origin = origin_of(load_claim_race(race).init_from).first;
  if (!origin.empty()) add_with_origin(origin, names);
  names.push_back(race);
}

// Whether a condition measures the seconds of the race's runs. They then have to be trained side by side.
bool is_timed(const std::string& race, const std::vector<Claim>& claims) {
  for (const Claim& claim : claims) {
    for (const Expectation& e : claim.expectations) {
      if (e.kind == "cheaper_than" && e.race == race) return true;
    }
  }
  return false;
}

// The last checkpoint of the entrant's first run. Errors (UserError): there is none, as after a divergence.
fs::path checkpoint_of(const ClaimRun& run, const std::string& init_from, const RaceResults& results) {
  const auto [race, entrant] = origin_of(init_from);
  for (const RunSummary& r : results.at(race).runs) {
    if (r.entrant != entrant) continue;
    const fs::path dir = run.out / race / r.dir;
    if (const auto checkpoint = find_checkpoint(dir).path) return *checkpoint;
    throw UserError(dir.string() + ": has no checkpoint to begin with");
  }
  throw UserError("race " + race + ": has no entrant " + quote(entrant));
}

}  // namespace

RaceSpec claim_race_spec(const ClaimRun& run, const std::string& race) {
  const ClaimRace asked = load_claim_race(race);
  std::string recipe = asked.recipe;
  std::vector<std::string> settings = data_settings(run, asked.data);
  settings.insert(settings.end(), asked.settings.begin(), asked.settings.end());
  for (const std::string& s : run.settings) {
    if (s.starts_with(kRecipe)) {
      recipe = s.substr(kRecipe.size());
    } else {
      settings.push_back(s);
    }
  }
  RaceSpec out;
  out.dir = run.out / race;
  out.recipe = load_recipe(recipe);
  apply_settings(out.recipe, settings);
  out.entrants = parse_entrants(out.recipe, asked.norms);
  if (!asked.lrs.empty()) out.entrants = at_learning_rates(out.entrants, asked.lrs);
  out.seeds = asked.seeds;
  return out;
}

RaceResults run_claim_races(const ClaimRun& run, const std::vector<Claim>& claims) {
  std::vector<std::string> names;
  for (const Claim& claim : claims) {
    for (const std::string& race : claim.races()) add_with_origin(race, names);
  }
  std::vector<RaceSpec> specs;  // all of them, so that a mistake in the last one shows now
  for (const std::string& name : names) specs.push_back(claim_race_spec(run, name));
  RaceResults out;
  for (size_t i = 0; i < specs.size(); ++i) {
    const ClaimRace asked = load_claim_race(names[i]);
    std::fprintf(stderr, "=== %s: %s\n", names[i].c_str(), asked.about.c_str());
    if (!asked.init_from.empty()) {
      const fs::path weights = checkpoint_of(run, asked.init_from, out);
      apply_settings(specs[i].recipe, {"init_from=" + weights.string()});
    }
    if (!is_timed(names[i], claims)) {
      for (const std::string& other : claim_race_names()) {
        if (other != names[i]) specs[i].share_runs_of.push_back(run.out / other);
      }
    }
    out[names[i]] = summarize(specs[i].recipe.name, race(specs[i]));
    check_interrupt();
  }
  return out;
}

RaceResults read_claim_races(const fs::path& dir) {
  if (!fs::is_directory(dir)) throw UserError(dir.string() + ": there is no such folder of races");
  RaceResults out;
  for (const std::string& name : claim_race_names()) {
    for (const fs::path& file : {dir / name / "results.json", dir / (name + ".json")}) {
      if (!fs::is_regular_file(file)) continue;
      const auto json = parse_json_or_null(read_file(file, kMaxResultsBytes));
      if (!json.is_object()) throw UserError(file.string() + ": is damaged");
      out[name] = race_summary(json, {});
      break;
    }
  }
  if (out.empty()) {
    throw UserError(dir.string() + ": has no results of a claim's race; expected " + claim_race_names()[0] +
                    "/results.json, for example");
  }
  return out;
}

RaceResults built_in_results() {
  RaceResults out;
  for (const std::string& name : claim_race_names()) {
    if (auto result = built_in_result(name)) out[name] = *std::move(result);
  }
  return out;
}

}  // namespace seednorm::lab

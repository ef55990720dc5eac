#include "lab/race/race.h"

#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>

#include "lab/base/atomic_file.h"
#include "lab/base/error.h"
#include "lab/base/file.h"
#include "lab/base/file_lock.h"
#include "lab/base/interrupt.h"
#include "lab/base/json_field.h"
#include "lab/base/work_folder.h"
#include "lab/recipes/workloads.h"
#include "lab/train/run.h"

namespace seednorm::lab {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr size_t kMaxRaceBytes = size_t{1} << 24;

std::string folder_name(const std::string& label, int64_t seed) {
  return plain_file_name(label) + "-s" + std::to_string(seed);
}

// The curves of a run that statistics are computed from.
Curves read_curves(const fs::path& run, RunInfo info) {
  std::vector<std::string> notes;  // the report shows them
  Curves out = read_metrics(run / "metrics.jsonl", info, notes);
  out.norms = out.samples = Json::array();
  return out;
}

// The request of the race.
Json description(const RaceSpec& spec) {
  Json out = {{"recipe", to_toml(spec.recipe)}, {"seeds", spec.seeds}};
  for (const Entrant& e : spec.entrants)
    out["entrants"].push_back({{"label", e.label}, {"settings", e.settings}});
  return out;
}

// Throws UserError if the file is of another race; the message says what differs.
void check_same_race(const fs::path& file, const Json& asked, const RaceSpec& spec) {
  const Json there = parse_json_or_null(read_file(file, kMaxRaceBytes));
  if (there == asked) return;
  const auto refuse = [&](const std::string& what) {
    throw UserError(file.string() + ": belongs to another race (" + what + "); choose another --out");
  };
  const auto has = [&](const char* key) { return there.is_object() && there.contains(key); };
  if (!has("recipe") || !there["recipe"].is_string() || !has("seeds") || !has("entrants"))
    refuse("it cannot be read");
  if (there["entrants"] != asked["entrants"]) refuse("the entrants differ");
  if (there["seeds"] != asked["seeds"])
    refuse("seeds: " + there["seeds"].dump() + " there, " + asked["seeds"].dump() + " now");
  const Recipe old = parse_recipe(file.string(), there["recipe"].get<std::string>());
  if (const auto what = difference(old, spec.recipe)) refuse(*what);
}

// Throws UserError if the folder does not belong to this race.
void check_dir(const RaceSpec& spec, const Json& asked) {
  const fs::path file = spec.dir / "race.json";
  if (fs::exists(file)) return check_same_race(file, asked, spec);
  if (holds_files(spec.dir))
    throw UserError(spec.dir.string() + ": is not empty and has no race; choose another --out");
}

RacedRun run_one(const RaceSpec& spec, const Entrant& entrant, Recipe recipe, int64_t k, RunResult* result) {
  const int64_t seed = spec.recipe.train.seed + k;  // of the pair, also if the entrant shifts its own
  recipe.train.seed = seed + entrant.seed_shift();
  recipe.train.data_seed = spec.recipe.train.data_seed + k;
  const std::string name = folder_name(entrant.label, seed);
  std::fprintf(stderr, "--- %s, seed %lld\n", entrant.label.c_str(), static_cast<long long>(seed));
  RunSpec run = run_spec(recipe, spec.dir / "runs" / name);
  run.resume = true;
  *result = train_run(run);
  RacedRun out;
  out.summary = {.entrant = entrant.label,
                 .seed = seed,
                 .dir = "runs/" + name,
                 .steps = result->steps,
                 .units = result->units,
                 .seconds = result->seconds,
                 .diverged = result->diverged,
                 .diverged_at = result->diverged ? std::optional(result->steps + 1) : std::nullopt,
                 .convergence = {},
                 .values = result->values};
  const Json sets = result->measured.value("valid", Json::object());
  for (const auto& [set, loss] : sets.items()) {
    out.summary.values.emplace_back("valid/" + set, loss.get<double>());
  }
  if (!result->interrupted) out.curves = read_curves(run.dir, result->info);
  return out;
}

}  // namespace

RaceResult race(const RaceSpec& spec) {
  // Opens every entrant's recipe and data before the first run, and before anything is written: a mistake in
  // the last one should not show after hours.
  std::vector<Recipe> recipes;
  for (const Entrant& e : spec.entrants) recipes.push_back(entrant_recipe(spec.recipe, e));
  const Json asked = description(spec);
  check_dir(spec, asked);
  for (const Recipe& r : recipes) (void)make_workload(r)->probes();
  fs::create_directories(spec.dir);
  const FileLock lock(spec.dir);
  check_dir(spec, asked);
  remove_stale_partials(spec.dir);
  if (!fs::exists(spec.dir / "race.json")) replace_file(spec.dir / "race.json", asked.dump(1) + "\n");
  RaceResult out = {.info = {}, .entrants = spec.entrants, .runs = {}};
  for (int64_t k = 0; k < spec.seeds; ++k) {  // seed by seed: pairs are complete as early as can be
    for (size_t e = 0; e < recipes.size() && !interrupted(); ++e) {
      RunResult result;
      RacedRun run = run_one(spec, spec.entrants[e], recipes[e], k, &result);
      if (result.interrupted) return out;
      out.info = result.info;
      out.runs.push_back(std::move(run));
      const RaceSummary summary = summarize(spec.recipe.name, out);
      replace_file(spec.dir / "results.json", race_summary_json(summary).dump(1) + "\n");
      std::fputs(race_table(summary).c_str(), stderr);
    }
  }
  return out;
}

}  // namespace seednorm::lab

#include "lab/race/race.h"

#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

#include "lab/base/atomic_file.h"
#include "lab/base/error.h"
#include "lab/base/file.h"
#include "lab/base/file_lock.h"
#include "lab/base/interrupt.h"
#include "lab/base/json_field.h"
#include "lab/base/work_folder.h"
#include "lab/race/shared_runs.h"
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

// A run of the race: an entrant with a seed.
struct Start {
  const Entrant* entrant;
  int64_t seed;  // of the pair, also if the entrant shifts its own
  Recipe recipe;
  std::string name;  // of its folder in RACE/runs

  fs::path dir(const RaceSpec& spec) const { return spec.dir / "runs" / name; }
};

// Seed by seed, so that pairs are complete as early as can be.
std::vector<Start> starts(const RaceSpec& spec) {
  std::vector<Start> out;
  for (int64_t k = 0; k < spec.seeds; ++k) {
    for (const Entrant& e : spec.entrants) {
      Start s = {.entrant = &e,
                 .seed = spec.recipe.train.seed + k,
                 .recipe = entrant_recipe(spec.recipe, e),
                 .name = ""};
      s.recipe.train.seed = s.seed + e.seed_shift();
      s.recipe.train.data_seed = spec.recipe.train.data_seed + k;
      s.name = folder_name(e.label, s.seed);
      out.push_back(std::move(s));
    }
  }
  return out;
}

// What a finished run came to.
std::optional<RunResult> stored_result(const RaceSpec& spec, const Start& start) {
  const fs::path file = start.dir(spec) / kResultFile;
  if (!fs::exists(file)) return std::nullopt;
  return parse_result(file.string(), read_file(file, kMaxRaceBytes));
}

RunResult train(const RaceSpec& spec, const Start& start, const std::shared_ptr<const Group>& group) {
  if (group->is_main()) {
    std::fprintf(stderr, "--- %s, seed %lld\n", start.entrant->label.c_str(),
                 static_cast<long long>(start.seed));
  }
  RunSpec run = run_spec(start.recipe, start.dir(spec));
  run.resume = true;
  run.group = group;
  return train_run(run);
}

// Copies the run from another race, if one has it.
void take_over(const RaceSpec& spec, const Start& start) {
  if (fs::exists(start.dir(spec))) return;
  const auto from = find_equal_run(spec.share_runs_of, start.recipe);
  if (!from) return;
  copy_run(*from, start.dir(spec));
  std::fprintf(stderr, "--- %s, seed %lld: copied from %s\n", start.entrant->label.c_str(),
               static_cast<long long>(start.seed), from->c_str());
}

RacedRun raced(const RaceSpec& spec, const Start& start, const RunResult& result) {
  RacedRun out;
  out.summary = {.entrant = start.entrant->label,
                 .seed = start.seed,
                 .dir = "runs/" + start.name,
                 .steps = result.steps,
                 .units = result.units,
                 .flops_per_unit = result.flops_per_unit,
                 .seconds = result.seconds,
                 .diverged = result.diverged,
                 .diverged_at = result.diverged ? std::optional(result.steps + 1) : std::nullopt,
                 .convergence = {},
                 .values = result.values};
  const Json sets = result.measured.value("valid", Json::object());
  for (const auto& [set, loss] : sets.items()) {
    out.summary.values.emplace_back("valid/" + set, loss.get<double>());
  }
  out.curves = read_curves(start.dir(spec), result.info);
  out.copied = is_copied(start.dir(spec));
  return out;
}

void write_results(const RaceSpec& spec, const RaceResult& race) {
  const RaceSummary summary = summarize(spec.recipe.name, race);
  replace_file(spec.dir / "results.json", race_summary_json(summary).dump(1) + "\n");
  std::fputs(race_table(summary).c_str(), stderr);
}

// The lock of the race's folder, which other workers hold for moments only.
FileLock lock_soon(const fs::path& dir) {
  constexpr auto kTime = std::chrono::seconds(20);
  const auto end = std::chrono::steady_clock::now() + kTime;
  while (true) {
    try {
      return FileLock(dir);
    } catch (const InUse&) {
      if (std::chrono::steady_clock::now() > end) throw;
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
  }
}

// Creates the race's folder, or checks that it has this race.
void open_folder(const RaceSpec& spec, const Json& asked) {
  check_dir(spec, asked);
  remove_stale_partials(spec.dir);
  if (!fs::exists(spec.dir / "race.json")) replace_file(spec.dir / "race.json", asked.dump(1) + "\n");
}

// All processes train each run together; rank 0 does the rest.
RaceResult race_together(const RaceSpec& spec, const Json& asked) {
  const Group& group = *spec.group;
  std::optional<FileLock> lock;
  group.on_main([&] {
    make_folder(spec.dir);
    lock.emplace(spec.dir);
    open_folder(spec, asked);
  });
  RaceResult out = {.info = {}, .entrants = spec.entrants, .runs = {}};
  for (const Start& start : starts(spec)) {
    if (group.size() == 1 && interrupted()) return out;
    std::string stored;
    group.on_main([&] {
      take_over(spec, start);
      if (const auto result = stored_result(spec, start)) stored = result_json(*result);
    });
    stored = group.broadcast(stored);
    const RunResult result =
        stored.empty() ? train(spec, start, spec.group) : parse_result(start.name, stored);
    if (result.interrupted) return out;
    group.on_main([&] {
      out.info = result.info;
      out.runs.push_back(raced(spec, start, result));
      write_results(spec, out);
    });
  }
  return out;
}

// Takes runs that no other worker has, until all are finished.
RaceResult race_apart(const RaceSpec& spec, const Json& asked) {
  constexpr auto kWait = std::chrono::seconds(1);
  make_folder(spec.dir);
  {
    const FileLock lock = lock_soon(spec.dir);
    if (!lock.is_effective()) {
      throw UserError(
          spec.dir.string() +
          ": is on a file system without locks, which --parallel runs needs so that no two workers "
          "take the same run; choose another --out");
    }
    open_folder(spec, asked);
  }
  const std::vector<Start> all = starts(spec);
  RaceResult out = {.info = {}, .entrants = spec.entrants, .runs = {}};
  while (out.runs.size() < all.size() && !interrupted()) {
    out.runs.clear();
    bool did_anything = false;
    for (const Start& start : all) {
      if (!stored_result(spec, start)) {
        try {
          if (fs::exists(start.dir(spec))) (void)FileLock(start.dir(spec));  // without opening the data first
          if (train(spec, start, spec.group).interrupted) return out;
          did_anything = true;
        } catch (const InUse&) {  // another worker has it
          continue;
        }
      }
      const RunResult result = *stored_result(spec, start);
      out.info = result.info;
      out.runs.push_back(raced(spec, start, result));
    }
    if (did_anything || out.runs.size() == all.size()) {
      const FileLock lock = lock_soon(spec.dir);
      write_results(spec, out);
    } else {
      std::this_thread::sleep_for(kWait);
    }
  }
  return out;
}

}  // namespace

RaceResult race(const RaceSpec& spec) {
  // Opens every entrant's recipe and data before the first run, and before anything is written: a mistake in
  // the last one should not show after hours.
  const Json asked = description(spec);
  spec.group->together([&] {
    std::vector<Recipe> recipes;
    for (const Entrant& e : spec.entrants) recipes.push_back(entrant_recipe(spec.recipe, e));
    check_dir(spec, asked);
    for (const Recipe& r : recipes) (void)make_workload(r)->probes();
  });
  return spec.parallel_runs ? race_apart(spec, asked) : race_together(spec, asked);
}

}  // namespace seednorm::lab

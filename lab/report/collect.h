// What folders of races, runs and evaluations hold, as one JSON value.
#ifndef SEEDNORM_LAB_REPORT_COLLECT_H_
#define SEEDNORM_LAB_REPORT_COLLECT_H_

#include <filesystem>
#include <nlohmann/json.hpp>
#include <vector>

namespace seednorm::lab {

// {"groups": [{"name", "kind": "race" | "run", "dir", "recipe", "seeds", "entrants": [label, ...],
//              "pairs": [as in results.json], "config": TOML, "command"}],      one for each folder
//  "runs": [{"group", "entrant", "seed", "state": "finished" | "diverged" | "unfinished", "steps", "tokens",
//            "train_loss", "val_loss", "valid", "seconds", "tokens_per_s", "config", "metrics"}],
//  "evaluations": [as read_evaluation says],
//  "notes": [a sentence about what is damaged or missing]}
// Entrants have the folder's name in front when there are several races. Errors as of write_report.
nlohmann::ordered_json collect(const std::vector<std::filesystem::path>& dirs);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_REPORT_COLLECT_H_

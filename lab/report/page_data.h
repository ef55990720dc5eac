// The data for the page's script.
#ifndef SEEDNORM_LAB_REPORT_PAGE_DATA_H_
#define SEEDNORM_LAB_REPORT_PAGE_DATA_H_

#include <nlohmann/json.hpp>

#include "lab/report/collect.h"

namespace seednorm::lab {

// {"title", "answer",
//  "groups": [{"name", "dir", "kind": "race" | "run", "recipe", "seeds", "entrants", "unit",
//              "equal_time_s", "equal_flops" if it is known,
//              "metrics": [{"name", "title", "unit", "lower_is_better", "chart"}],
//              "pairs" and the lists of race_statistics.h, as in results.json,
//              "machine", "config", "command", "interval_command"}],
//  "runs": [{"group": index, "entrant", "seed", "state": "finished" | "diverged" | "unfinished",
//            "diverged_at", "convergence", "steps", "units", "seconds", "units_per_s",
//            "values": {metric: number}, "config",
//            "train": {"step": [...], "units", "seconds", "loss", "ema", "grad_norm"},
//            "measured": [{"step", "units", "seconds", "values"}],
//            "norms", "samples" (both as in Curves)}],
//  "evaluations", "notes" (both as in Report)}
// "metrics" has every metric that some run of the group has. A metric's "chart" is the name of the chart that
// shows it. A long run's curve is thinned to points that preserve its shape: the smallest and the largest
// loss of each segment.
nlohmann::ordered_json page_data(const Report& report);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_REPORT_PAGE_DATA_H_

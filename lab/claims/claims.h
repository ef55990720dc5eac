// The claims of the paper as data: claims/NAME.toml, the races that test them, claims/races/NAME.toml, and
// the results of those that were run, claims/results/NAME.json. All of them are built into the program.
#ifndef SEEDNORM_LAB_CLAIMS_CLAIMS_H_
#define SEEDNORM_LAB_CLAIMS_CLAIMS_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lab/report/run_summary.h"

namespace seednorm::lab {

// One condition of a decision rule. "p" is corrected by Holm's method for the number of conditions of the
// claim that have one, whether or not their races have run, since these are the comparisons that were
// announced. The kinds:
//   better             the difference of `better` from `worse` has the right sign, p < 0.05; with `tuned`
//                      each of the two is at its best learning rate
//   not_worse          the 95% interval of that difference ends below `margin`; fails if it begins above it
//   gains_more         `better` gains more over `worse` in `race` than in `than_race`, p < 0.05 (Welch)
//   lead_grows         the lead of `better` over `worse` grows when the data doubles, p < 0.05
//   sooner             `better` needs less than 1 / `factor` of the data that `worse` needs for the same
//                      value; by the 95% interval of the ratio
//   fails_to_converge  all runs of `entrant` diverge, blow up or stagnate; fails if none does
//   cheaper_than       a unit of data takes `better` less than `factor` times the seconds of `worse`; by the
//                      95% interval of the ratio
//   check              the check of that name, which needs no training, succeeds
// A condition that neither holds nor fails is undecided.
struct Expectation {
  std::string kind, race, than_race, better, worse, entrant, check;
  std::string metric;  // default: the first one of the race
  double margin = 0, factor = 1;
  bool tuned = false;
};

struct Claim {
  std::string name, source, statement, paper;
  std::string decides;  // what would decide it
  std::vector<Expectation> expectations;
  std::vector<std::string> races() const;  // that its conditions name, each once
};

struct ClaimRace {
  std::string name, about, recipe;
  std::string data;  // "text" or "digits"
  // "RACE/ENTRANT": the weights that all runs begin with are the last checkpoint of that entrant's first run,
  // in another race; may be empty.
  std::string init_from;
  std::vector<std::string> settings;
  std::string norms, lrs;  // as for seednorm race; lrs may be empty
  int64_t seeds = 1;
};

std::vector<std::string> claim_names();
// Errors (UserError): no such claim; the nearest name is given.
Claim load_claim(const std::string& name);
std::vector<std::string> claim_race_names();
ClaimRace load_claim_race(const std::string& name);
// The result that is built in; nothing if the race was not run.
std::optional<RaceSummary> built_in_result(const std::string& race);

// Parse the text of such a file. Errors (UserError): a mistake, with the key.
Claim parse_claim(const std::string& name, std::string_view toml);
ClaimRace parse_claim_race(const std::string& name, std::string_view toml);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_CLAIMS_CLAIMS_H_

// Judges a claim by its decision rule from the results of its races.
#ifndef SEEDNORM_LAB_CLAIMS_JUDGE_H_
#define SEEDNORM_LAB_CLAIMS_JUDGE_H_

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "lab/claims/claims.h"

namespace seednorm::lab {

enum class Verdict { kHolds, kFails, kUndecided, kNotRun };
std::string name_of(Verdict verdict);  // as in JSON: "holds", "fails", "undecided", "not_run"

// What was found of one condition.
struct Finding {
  Verdict verdict = Verdict::kNotRun;
  std::string text;  // the comparison, and its numbers with the noise floor
};

struct Judgement {
  Verdict verdict = Verdict::kNotRun;
  std::vector<Finding> findings;  // in the order of the conditions
};

using RaceResults = std::map<std::string, RaceSummary>;  // by the name of the race

// The claim holds if all conditions hold, and fails if one fails. It was not run if no condition fails and
// one was not run; otherwise it is undecided. A race whose runs are not complete counts as not run.
Judgement judge(const Claim& claim, const RaceResults& results);

// An element of "claims" in the JSON of seednorm claim:
//   {"name", "source", "statement", "verdict", "scale", "ours", "paper", "decides", "findings": [{"verdict",
//    "text"}]}
nlohmann::ordered_json claim_json(const Claim& claim, const Judgement& judgement);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_CLAIMS_JUDGE_H_

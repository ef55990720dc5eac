// Runs the races of claims.
#ifndef SEEDNORM_LAB_CLAIMS_RUN_CLAIM_H_
#define SEEDNORM_LAB_CLAIMS_RUN_CLAIM_H_

#include <filesystem>
#include <string>
#include <vector>

#include "lab/claims/claims.h"
#include "lab/claims/judge.h"
#include "lab/race/race.h"

namespace seednorm::lab {

struct ClaimRun {
  std::filesystem::path out;           // OUT/RACE is the folder of each race
  std::filesystem::path text, digits;  // folders of the data: TEXT/train and TEXT/valid, and DIGITS
  std::vector<std::string> settings;   // override those of the races; "recipe=NAME" is another recipe
};

// The request of a race. Errors (UserError): the data is missing; a mistake in the settings.
RaceSpec claim_race_spec(const ClaimRun& run, const std::string& race);

// Runs the races of all claims, each once, or continues them; a race that is complete is only read. Runs that
// another claim's race in the same folder has finished with the same settings are copied, except where a
// condition measures time. A race that a signal stops ends the call (see check_interrupt).
RaceResults run_claim_races(const ClaimRun& run, const std::vector<Claim>& claims);

// The results of the races in folders DIR/RACE, or in files DIR/RACE.json, as far as there are any.
RaceResults read_claim_races(const std::filesystem::path& dir);
// Those that are built in.
RaceResults built_in_results();

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_CLAIMS_RUN_CLAIM_H_

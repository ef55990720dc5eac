// The entrants of a race, in the form that users write.
#ifndef SEEDNORM_LAB_RACE_ENTRANTS_H_
#define SEEDNORM_LAB_RACE_ENTRANTS_H_

#include <string>
#include <vector>

#include "lab/recipes/recipe.h"

namespace seednorm::lab {

// One entrant: a norm for all sites, or several parts joined by "+":
//   seed_norm
//   block:seed_norm+qk:seed_norm(alpha_init=0.1)+output:rms_norm
//   dyt+embedding_scale=true                       any setting of the recipe
// LABEL= in front names the entrant: "best=block:seed_norm+output:rms_norm".
struct Entrant {
  std::string label;                  // as in results and folders; unique
  std::vector<std::string> settings;  // for apply_settings
};

// Parses a list separated by commas outside of brackets. `recipe` tells which words are settings. Errors
// (UserError): an empty entry, a duplicate label.
std::vector<Entrant> parse_entrants(const Recipe& recipe, const std::string& list);

// The entrant's recipe. Errors (UserError): a setting that does not exist or has an invalid value; a setting
// that the race itself sets (seeds); a setting that changes what is measured, since the entrants could then
// not be compared.
Recipe entrant_recipe(const Recipe& recipe, const Entrant& entrant);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_RACE_ENTRANTS_H_

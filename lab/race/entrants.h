// The entrants of a race, in the form that users write.
#ifndef SEEDNORM_LAB_RACE_ENTRANTS_H_
#define SEEDNORM_LAB_RACE_ENTRANTS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "lab/recipes/recipe.h"

namespace seednorm::lab {

// One entrant: a norm for all sites, or several parts joined by "+":
//   seed_norm
//   block:seed_norm+qk:seed_norm(alpha_init=0.1)+output:rms_norm
//   dyt+embedding_scale=true                       any setting of the recipe
//   again=rms_norm+seed_shift=1000                 other initial weights than the other entrants': an entrant
//                                                  that is otherwise equal to another one measures the noise
// LABEL= in front names the entrant: "best=block:seed_norm+output:rms_norm".
struct Entrant {
  std::string label;                  // as in results and folders; unique
  std::vector<std::string> settings;  // for apply_settings, and seed_shift, which belongs to the race

  // Is added to the seed of the weights; 0 unless it is set. Errors (UserError): not a whole number in
  // [0, 1e9].
  int64_t seed_shift() const;
  // The settings of training, without seed_shift.
  std::vector<std::string> training_settings() const;
};

// Parses a list separated by commas outside of brackets. `recipe` tells which words are settings. Errors
// (UserError): an empty entry, a duplicate label.
std::vector<Entrant> parse_entrants(const Recipe& recipe, const std::string& list);

// Each entrant at each learning rate, labelled "LABEL@LR". Errors (UserError): `lrs` is not a list of two or
// more different positive numbers; an entrant sets lr itself.
std::vector<Entrant> at_learning_rates(const std::vector<Entrant>& entrants, const std::string& lrs);

// The entrant's recipe. Errors (UserError): a setting that does not exist or has an invalid value; a setting
// that the race itself sets (seeds); a setting that changes what is measured, since the entrants could then
// not be compared.
Recipe entrant_recipe(const Recipe& recipe, const Entrant& entrant);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_RACE_ENTRANTS_H_

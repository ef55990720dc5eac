#include "lab/recipes/workloads.h"

#include <stdexcept>

#include "lab/base/error.h"

namespace seednorm::lab {

#define SEEDNORM_WORKLOAD(name)                                                                     \
  std::unique_ptr<Workload> name##_workload(const WorkloadConfig& config, const TrainConfig& train, \
                                            Purpose purpose);
#include "lab/recipes/workloads.def"
#undef SEEDNORM_WORKLOAD

std::unique_ptr<Workload> make_workload(const Recipe& recipe, Purpose purpose) {
  recipe.check();
  try {
#define SEEDNORM_WORKLOAD(name) \
  if (recipe.workload() == #name) return name##_workload(recipe.config(), recipe.train, purpose);
#include "lab/recipes/workloads.def"
#undef SEEDNORM_WORKLOAD
  } catch (const std::invalid_argument& e) {
    throw UserError(e.what());
  }
  throw std::logic_error("workload " + recipe.workload());
}

RunSpec run_spec(const Recipe& recipe, const std::filesystem::path& dir) {
  RunSpec out;
  out.dir = dir;
  out.train = recipe.train;
  out.workload = [recipe] { return make_workload(recipe); };
  out.settings.text = to_toml(recipe);
  out.settings.difference = [recipe](const std::string& file, const std::string& other) {
    return difference(parse_recipe(file, other), recipe);
  };
  return out;
}

}  // namespace seednorm::lab

// Makes the workload of a recipe, and a run of it.
#ifndef SEEDNORM_LAB_RECIPES_WORKLOADS_H_
#define SEEDNORM_LAB_RECIPES_WORKLOADS_H_

#include <filesystem>
#include <memory>

#include "lab/recipes/recipe.h"
#include "lab/train/run.h"
#include "lab/train/workload.h"

namespace seednorm::lab {

// Errors (UserError): invalid settings; data that are missing or do not fit.
std::unique_ptr<Workload> make_workload(const Recipe& recipe, Purpose purpose = Purpose::kTraining);

// The specification with which train_run trains the recipe in `dir`.
RunSpec run_spec(const Recipe& recipe, const std::filesystem::path& dir);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_RECIPES_WORKLOADS_H_

// Finished runs of other races, which a race with the same settings need not repeat.
#ifndef SEEDNORM_LAB_RACE_SHARED_RUNS_H_
#define SEEDNORM_LAB_RACE_SHARED_RUNS_H_

#include <filesystem>
#include <optional>
#include <vector>

#include "lab/recipes/recipe.h"

namespace seednorm::lab {

// The folder of a finished run in one of the races that had exactly these settings.
std::optional<std::filesystem::path> find_equal_run(const std::vector<std::filesystem::path>& races,
                                                    const Recipe& recipe);

// Copies the folder of a run, and notes in the file copied_from where it comes from. `to` has all of it or
// does not exist. Errors (std::filesystem::filesystem_error): a file cannot be read or written.
void copy_run(const std::filesystem::path& from, const std::filesystem::path& to);
bool is_copied(const std::filesystem::path& run);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_RACE_SHARED_RUNS_H_

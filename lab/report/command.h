// Commands that repeat a race or a run.
#ifndef SEEDNORM_LAB_REPORT_COMMAND_H_
#define SEEDNORM_LAB_REPORT_COMMAND_H_

#include <nlohmann/json.hpp>
#include <string>

namespace seednorm::lab {

// A shell command for the race of a race.json whose recipe was saved as race.toml.
std::string race_command(const nlohmann::ordered_json& asked);
// The same with three seeds, which give a useful interval, for the race of a folder NAME.
std::string interval_command(const nlohmann::ordered_json& asked, const std::string& name);
// The same for a run whose settings were saved as config.toml.
std::string run_command();

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_REPORT_COMMAND_H_

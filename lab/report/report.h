// A report of races, runs and evaluations: one HTML file that needs nothing else, no network either.
#ifndef SEEDNORM_LAB_REPORT_REPORT_H_
#define SEEDNORM_LAB_REPORT_REPORT_H_

#include <filesystem>
#include <vector>

namespace seednorm::lab {

// `dirs` are folders of races (lab/race/race.h) and of runs (lab/train/run.h), finished or not, and folders
// or files of evaluations (lab/language/eval/results.h). What is damaged or missing in them is left out, and
// the page says so. `html` is there complete or not at all. Errors (UserError): no folder, one that holds
// none of these, no folder to write to.
void write_report(const std::vector<std::filesystem::path>& dirs, const std::filesystem::path& html);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_REPORT_REPORT_H_

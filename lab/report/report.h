// A report of races, runs and evaluations as one self-contained HTML file, which does not need a network.
#ifndef SEEDNORM_LAB_REPORT_REPORT_H_
#define SEEDNORM_LAB_REPORT_REPORT_H_

#include <filesystem>
#include <vector>

namespace seednorm::lab {

// `dirs` are folders of races (lab/race/race.h) and of runs (lab/train/run.h), finished or not, and folders
// or files of evaluations (lab/language/eval/results.h). Damaged or missing parts are left out, and
// the page says so. `html` is written either completely or not at all. Errors (UserError): no folder is
// given; a folder has none of these; the folder to write to does not exist.
void write_report(const std::vector<std::filesystem::path>& dirs, const std::filesystem::path& html);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_REPORT_REPORT_H_

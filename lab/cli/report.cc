// seednorm report
#include "lab/report/report.h"

#include <cstdio>

#include "lab/cli/verb.h"

namespace seednorm::lab {
namespace {

struct Arguments {
  std::vector<std::string> dirs;
  std::string out;
};

std::filesystem::path folder_of(const std::filesystem::path& path) {
  return std::filesystem::is_directory(path) ? path : path.parent_path();
}

void run_report(const Arguments& arguments) {
  const std::vector<std::filesystem::path> dirs(arguments.dirs.begin(), arguments.dirs.end());
  const std::filesystem::path out =
      arguments.out.empty() ? folder_of(dirs.front()) / "report.html" : std::filesystem::path(arguments.out);
  write_report(dirs, out);
  std::printf("%s\n", out.c_str());
}

}  // namespace

void add_report(CLI::App& app) {
  const auto arguments = std::make_shared<Arguments>();
  app.add_option("DIR", arguments->dirs,
                 "Folders of races and runs, finished or not, and of evaluations (seednorm eval --out), or "
                 "files (--json)")
      ->required()
      ->type_name("");
  app.add_option("--out", arguments->out, "The page to write; default: report.html in the first folder")
      ->type_name("FILE");
  app.callback([arguments] { run_report(*arguments); });
}

}  // namespace seednorm::lab

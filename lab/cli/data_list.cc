// seednorm data list
#include <cstdio>

#include "lab/base/public_sets.h"
#include "lab/cli/verb.h"

namespace seednorm::lab {
namespace {

void run_list(const std::string& file) {
  nlohmann::json list = nlohmann::json::array();
  std::printf("%-20s %9s  %-10s  %-14s  %s\n", "name", "MB", "checksum", "licence", "what");
  const auto& sets = public_sets();
  for (size_t i = 0; i < sets.size(); ++i) {
    const PublicSet& set = sets[i];
    if (i == 0 || sets[i - 1].name != set.name) {  // one line for all files of a name
      int64_t bytes = 0;
      for (size_t k = i; k < sets.size() && sets[k].name == set.name; ++k) bytes += sets[k].bytes;
      char size[32] = "?";
      if (bytes > 0) std::snprintf(size, sizeof size, "%.1f", static_cast<double>(bytes) / 1e6);
      std::printf("%-20s %9s  %-10s  %-14s  %s\n", set.name.c_str(), size,
                  set.sha256.empty() ? "unverified" : "known", set.licence.c_str(), set.what.c_str());
    }
    list.push_back({{"name", set.name},
                    {"url", set.url},
                    {"bytes", nullptr},
                    {"sha256", nullptr},
                    {"licence", set.licence},
                    {"what", set.what}});
    if (set.bytes > 0) list.back()["bytes"] = set.bytes;
    if (!set.sha256.empty()) list.back()["sha256"] = set.sha256;
  }
  write_json(file, {{"sets", list}});
}

}  // namespace

void add_data_list(CLI::App& app) {
  const auto json = std::make_shared<std::string>();
  add_json_option(app, *json);
  app.callback([json] { run_list(*json); });
}

}  // namespace seednorm::lab

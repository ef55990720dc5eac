// seednorm data list
#include <cstdio>

#include "lab/base/public_sets.h"
#include "lab/cli/verb.h"

namespace seednorm::lab {
namespace {

void run_list(const std::string& file) {
  nlohmann::json list = nlohmann::json::array();
  std::printf("%-20s %9s  %-10s  %-14s  %s\n", "name", "MB", "checksum", "licence", "what");
  for (const PublicSet& set : public_sets()) {
    char size[32] = "?";
    if (set.bytes > 0) std::snprintf(size, sizeof size, "%.1f", static_cast<double>(set.bytes) / 1e6);
    std::printf("%-20s %9s  %-10s  %-14s  %s\n", set.name.c_str(), size,
                set.sha256.empty() ? "unverified" : "known", set.licence.c_str(), set.what.c_str());
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

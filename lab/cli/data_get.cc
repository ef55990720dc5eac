// seednorm data get
#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "lab/base/download.h"
#include "lab/base/error.h"
#include "lab/base/progress.h"
#include "lab/base/public_sets.h"
#include "lab/base/suggest.h"
#include "lab/cli/verb.h"

namespace seednorm::lab {
namespace {

struct Arguments {
  std::string source, out, sha256, json;
};

DownloadOptions source_at(const std::string& url, const std::string& sha256, const std::string& folder) {
  const std::string name = file_name_of_url(url);
  if (name.empty())
    throw UserError(without_password(url) + ": has no file name; expected an address that ends in one");
  return {.url = url, .target = (std::filesystem::path(folder) / name).string(), .sha256 = sha256};
}

// The locations and expected checksums of the files of an address or a name.
std::vector<DownloadOptions> find_sources(const Arguments& arguments) {
  const std::string& source = arguments.source;
  if (source.find("://") != std::string::npos) return {source_at(source, arguments.sha256, arguments.out)};
  std::vector<DownloadOptions> files;
  std::vector<std::string> known;
  for (const PublicSet& set : public_sets()) {
    known.push_back(set.name);
    if (set.name == source) files.push_back(source_at(set.url, set.sha256, arguments.out));
  }
  if (files.empty()) {
    throw UserError("data get: no data set " + quote(source) + did_you_mean(source, known) +
                    "; see `seednorm data list`, or give an address that starts with https://");
  }
  if (!arguments.sha256.empty()) {
    if (files.size() > 1)
      throw UserError("--sha256: expected none, since " + source + " has several files with known checksums");
    files[0].sha256 = arguments.sha256;
  }
  return files;
}

std::string line(const std::string& name, int64_t done, int64_t total, int64_t begin, double seconds) {
  std::string text = name + ": " + with_unit(double(done)) + "B";
  if (total > 0) text += " of " + with_unit(double(total)) + "B";
  return text + ", " + with_unit(static_cast<double>(done - begin) / seconds) + "B/s";
}

// Downloads a file, prints its size and checksum, and returns them.
nlohmann::json fetch(const DownloadOptions& options) {
  DownloadResult result;
  {
    Progress progress;
    const std::string name = std::filesystem::path(options.target).filename().string();
    int64_t begin = -1;
    result = download(options, [&](int64_t done, int64_t total) {
      if (begin < 0) begin = done;
      if (progress.is_due()) progress.show(line(name, done, total, begin, progress.seconds()));
    });
  }
  std::printf("%s: %lld bytes%s\n", options.target.c_str(), static_cast<long long>(result.bytes),
              result.already_there ? ", already there" : "");
  std::printf("sha256 %s, %s\n", result.sha256.c_str(),
              options.sha256.empty() ? "unverified: there is no checksum to compare it with" : "as expected");
  return {{"file", options.target},
          {"url", without_password(options.url)},
          {"bytes", result.bytes},
          {"sha256", result.sha256},
          {"verified", !options.sha256.empty()},
          {"resumed_at", result.resumed_at},
          {"already_there", result.already_there}};
}

void run_get(const Arguments& arguments) {
  const bool is_hex = std::all_of(arguments.sha256.begin(), arguments.sha256.end(),
                                  [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
  if (!arguments.sha256.empty() && (arguments.sha256.size() != 64 || !is_hex)) {
    throw UserError("--sha256: expected 64 hexadecimal digits in lower case, got " +
                    quote(arguments.sha256, 80));
  }
  nlohmann::json files = nlohmann::json::array();
  for (const DownloadOptions& options : find_sources(arguments)) files.push_back(fetch(options));
  write_json(arguments.json, files.size() == 1 ? files[0] : nlohmann::json{{"files", files}});
}

}  // namespace

void add_data_get(CLI::App& app) {
  const auto arguments = std::make_shared<Arguments>();
  app.add_option("NAME", arguments->source, "A name from `data list`, or an address (https://...)")
      ->required()
      ->type_name("");
  app.add_option("--out", arguments->out, "The folder for the downloaded file")->required()->type_name("DIR");
  app.add_option("--sha256", arguments->sha256,
                 "The expected SHA-256 of the file; `data list` has it for some")
      ->type_name("HEX");
  add_json_option(app, arguments->json);
  app.callback([arguments] { run_get(*arguments); });
}

}  // namespace seednorm::lab

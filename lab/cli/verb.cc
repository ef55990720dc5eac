#include "lab/cli/verb.h"

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <filesystem>

#include "lab/base/error.h"
#include "lab/base/file.h"

namespace seednorm::lab {

void add_json_option(CLI::App& app, std::string& file) {
  // A mistake must show when the command starts, and not after hours of work.
  const auto has_folder = [](const std::string& name) -> std::string {
    const std::filesystem::path path(name), folder = path.has_parent_path() ? path.parent_path() : ".";
    if (std::filesystem::is_directory(path)) return "is a folder";
    return std::filesystem::is_directory(folder) ? "" : "there is no folder " + quote(folder.string());
  };
  app.add_option("--json", file, "Write the result to this file")
      ->check(CLI::Validator(has_folder, ""))
      ->type_name("FILE");
}

void write_json(const std::string& file, const nlohmann::json& result) {
  if (file.empty()) return;
  const std::string text = result.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  if (!std::filesystem::exists(file) || std::filesystem::is_regular_file(file))
    return replace_file(file, text);
  // A device or a pipe, such as /dev/stdout.
  std::FILE* out = std::fopen(file.c_str(), "w");
  if (out == nullptr) fail_with_errno("open", file, errno);
  const bool written = std::fwrite(text.data(), 1, text.size(), out) == text.size();
  if (const bool closed = std::fclose(out) == 0; !written || !closed) fail_with_errno("write", file, errno);
}

int64_t parse_count(const std::string& option, const std::string& text, int64_t min, int64_t max) {
  const auto fail = [&]() -> int64_t {
    throw UserError(option + ": expected a whole number from " + std::to_string(min) + " to " +
                    std::to_string(max) + " (also as 10k, 5M or 1G), got " + quote(text));
  };
  int64_t value = 0, unit = 1;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || end - rest > 1) return fail();
  if (rest != end) unit = *rest == 'k' ? 1000 : *rest == 'M' ? 1000000 : *rest == 'G' ? 1000000000 : 0;
  if (unit == 0 || value < 0 || value > INT64_MAX / unit) return fail();
  value *= unit;
  return value < min || value > max ? fail() : value;
}

}  // namespace seednorm::lab

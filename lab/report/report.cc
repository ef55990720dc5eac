#include "lab/report/report.h"

#include <ctime>
#include <string>

#include "core/include/seednorm/version.h"
#include "lab/base/error.h"
#include "lab/base/file.h"
#include "lab/base/machine.h"
#include "lab/report/collect.h"
#include "lab/report/page_data.h"

namespace seednorm::lab {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPage =
#include "report_page.inc"
    ;

std::string now() {
  const std::time_t time = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&time, &utc);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", &utc);
  return text;
}

// JSON as text that is safe in a <script> element: nothing in it can end the element or begin a comment.
std::string for_script(const nlohmann::ordered_json& json) {
  const std::string text = json.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    if (c == '<') {
      out += "\\u003c";
    } else {
      out += c;
    }
  }
  return out;
}

std::string for_html(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '&':
        out += "&amp;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

// Replaces the marks of the page by the texts, in which it does not search for marks.
std::string filled(std::string_view page,
                   const std::vector<std::pair<std::string_view, std::string>>& texts) {
  std::string out;
  for (const auto& [mark, text] : texts) {
    const size_t at = page.find(mark);
    out += page.substr(0, at);
    out += text;
    page.remove_prefix(at + mark.size());
  }
  return out += page;
}

}  // namespace

void write_report(const std::vector<fs::path>& dirs, const fs::path& html) {
  const fs::path folder = html.has_parent_path() ? html.parent_path() : ".";
  if (!fs::is_directory(folder))
    throw UserError(folder.string() + ": there is no such folder to write the report to");
  if (fs::is_directory(html)) throw UserError(html.string() + ": is a folder; name a file to write");
  nlohmann::ordered_json data = page_data(collect(dirs));
  data["written"] = now();
  data["version"] = SEEDNORM_VERSION;
  data["machine"] = machine();
  data["smoothed_loss"] = kTrainLoss;
  const std::string title =
      for_html(data["title"].get<std::string>() + ". " + data["answer"].get<std::string>());
  const std::string answer = for_html(data["answer"].get<std::string>());
  replace_file(html,
               filled(kPage, {{"{{title}}", title}, {"{{answer}}", answer}, {"{{data}}", for_script(data)}}));
}

}  // namespace seednorm::lab

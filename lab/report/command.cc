#include "lab/report/command.h"

#include <algorithm>

#include "lab/report/fields.h"

namespace seednorm::lab {
namespace {

using Json = nlohmann::ordered_json;

std::string quoted_for_shell(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

// The argument that gives these entrants, the inverse of the way in which a race reads it.
std::string entrants_argument(const Json& entrants) {
  std::string out;
  for (const Json& entrant : entrants) {
    std::string text;
    for (const Json& value : array_at(entrant, "settings")) {
      std::string s = value.is_string() ? value.get<std::string>() : "";
      if (s.starts_with("norm=")) {
        s = s.substr(5);
      } else if (s.starts_with("norm.")) {
        s = s.substr(5);
        s[std::min(s.find('='), s.size() - 1)] = ':';
      }
      text += (text.empty() ? "" : "+") + s;
    }
    const std::string label = text_at(entrant, "label");
    out += (out.empty() ? "" : ",") + (label == text ? text : label + "=" + text);
  }
  return out;
}

std::string command(const Json& asked, const std::string& seeds, const std::string& out) {
  const std::string entrants = entrants_argument(array_at(asked, "entrants"));
  return "seednorm race race.toml --norms " + quoted_for_shell(entrants) + " --seeds " + seeds + " --out " +
         out;
}

}  // namespace

std::string race_command(const Json& asked) {
  const bool has_seeds = asked.contains("seeds") && asked["seeds"].is_number_integer();
  return command(asked, has_seeds ? asked["seeds"].dump() : "1", "NEW_FOLDER");
}

std::string interval_command(const Json& asked, const std::string& name) {
  return command(asked, "3", quoted_for_shell(name + "-3-seeds"));
}

std::string run_command() { return "seednorm train config.toml --out NEW_FOLDER"; }

}  // namespace seednorm::lab

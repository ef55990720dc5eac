#include "lab/report/command.h"

#include <algorithm>
#include <vector>

#include "lab/report/fields.h"

namespace seednorm::lab {
namespace {

using Json = nlohmann::ordered_json;

std::string quoted_for_shell(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

// The learning rates of a race in which each entrant has each of them, "LABEL@LR"; empty for other races.
std::vector<std::string> learning_rates(const Json& entrants) {
  std::vector<std::string> out;
  for (const Json& entrant : entrants) {
    const std::string label = text_at(entrant, "label"), rate = label.substr(label.rfind('@') + 1);
    const Json settings = array_at(entrant, "settings");
    if (settings.empty() || settings.back() != "lr=" + rate) return {};
    if (std::find(out.begin(), out.end(), rate) == out.end()) out.push_back(rate);
  }
  return out.size() > 1 && entrants.size() % out.size() == 0 ? out : std::vector<std::string>();
}

// The entrants of which learning_rates made these.
Json without_rates(const Json& entrants, const std::vector<std::string>& rates) {
  if (rates.empty()) return entrants;
  Json out = Json::array();
  for (size_t i = 0; i < entrants.size(); i += rates.size()) {
    Json entrant = entrants[i];
    const std::string label = text_at(entrant, "label");
    entrant["label"] = label.substr(0, label.rfind('@'));
    entrant["settings"].erase(entrant["settings"].size() - 1);
    out.push_back(std::move(entrant));
  }
  return out;
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
  const std::vector<std::string> rates = learning_rates(array_at(asked, "entrants"));
  const std::string entrants = entrants_argument(without_rates(array_at(asked, "entrants"), rates));
  std::string lrs;
  for (const std::string& rate : rates) lrs += (lrs.empty() ? " --lrs " : ",") + rate;
  return "seednorm race race.toml --norms " + quoted_for_shell(entrants) + lrs + " --seeds " + seeds +
         " --out " + out;
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

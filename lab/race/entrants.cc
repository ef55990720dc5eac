#include "lab/race/entrants.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "lab/base/error.h"
#include "lab/base/file.h"
#include "lab/base/number_list.h"

namespace seednorm::lab {
namespace {

// The pieces between `separator`s outside of brackets.
std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> out(1);
  int depth = 0;
  for (const char c : text) {
    depth += (c == '(') - (c == ')');
    if (c == separator && depth == 0) {
      out.emplace_back();
    } else {
      out.back() += c;
    }
  }
  return out;
}

const std::string kSeedShift = "seed_shift=";

bool is_setting(const Recipe& recipe, const std::string& key) {
  if (key + "=" == kSeedShift) return true;
  const auto all = recipe.values();
  return std::any_of(all.begin(), all.end(), [&](const auto& s) { return s.first == key; });
}

Entrant parse_entrant(const Recipe& recipe, const std::string& text) {
  Entrant out;
  std::string rest = text;
  const size_t equals = rest.find('='), bracket = rest.find_first_of("(:+");
  if (equals != std::string::npos && equals < bracket && !is_setting(recipe, rest.substr(0, equals))) {
    out.label = rest.substr(0, equals);
    rest = rest.substr(equals + 1);
  }
  for (const std::string& part : split(rest, '+')) {
    const size_t colon = part.find(':'), open = part.find('('), assign = part.find('=');
    if (assign < colon && colon < open) {
      throw UserError("--norms: " + quote(part.substr(0, assign)) +
                      " is the name of a setting; choose another label");
    }
    if (colon < open) {
      out.settings.push_back("norm." + part.substr(0, colon) + "=" + part.substr(colon + 1));
    } else if (assign < open) {
      out.settings.push_back(part);
    } else {
      out.settings.push_back("norm=" + part);
    }
  }
  if (out.label.empty()) {
    for (const char c : text) {
      if (c != ' ') out.label += c;
    }
  }
  return out;
}

}  // namespace

std::vector<Entrant> parse_entrants(const Recipe& recipe, const std::string& list) {
  std::vector<Entrant> out;
  std::set<std::string> folders;
  for (const std::string& text : split(list, ',')) {
    if (text.empty()) throw UserError("--norms: there is an empty entry in " + quote(list, 200));
    out.push_back(parse_entrant(recipe, text));
    if (!folders.insert(plain_file_name(out.back().label)).second) {
      throw UserError("--norms: " + quote(out.back().label) +
                      " occurs twice, or is too similar to another label; add LABEL= to rename it");
    }
  }
  return out;
}

int64_t Entrant::seed_shift() const {
  constexpr int64_t kMax = 1'000'000'000;
  int64_t out = 0;
  for (const std::string& s : settings) {
    if (!s.starts_with(kSeedShift)) continue;
    const char* const begin = s.data() + kSeedShift.size();
    const char* const end = s.data() + s.size();
    const auto [stop, error] = std::from_chars(begin, end, out);
    if (error != std::errc() || stop != end || out < 0 || out > kMax) {
      throw UserError("--norms: " + label +
                      ": seed_shift: expected a whole number from 0 to 1000000000, got " +
                      quote(s.substr(kSeedShift.size())));
    }
  }
  return out;
}

std::vector<std::string> Entrant::training_settings() const {
  std::vector<std::string> out;
  for (const std::string& s : settings) {
    if (!s.starts_with(kSeedShift)) out.push_back(s);
  }
  return out;
}

std::vector<Entrant> at_learning_rates(const std::vector<Entrant>& entrants, const std::string& lrs) {
  const std::vector<std::string> rates = split(lrs, ',');
  if (positive_numbers("--lrs", lrs).size() < 2)
    throw UserError("--lrs: expected two or more learning rates; set one with lr=" + lrs);
  std::vector<Entrant> out;
  for (const Entrant& e : entrants) {
    for (const std::string& s : e.settings) {
      if (s.starts_with("lr="))
        throw UserError("--norms: " + e.label + ": sets lr, which --lrs sets for every entrant");
    }
    for (const std::string& rate : rates) {
      out.push_back(e);
      out.back().label += "@" + rate;
      out.back().settings.push_back("lr=" + rate);
    }
  }
  return out;
}

Recipe entrant_recipe(const Recipe& recipe, const Entrant& entrant) {
  Recipe out(recipe), base(recipe);
  (void)entrant.seed_shift();
  try {
    apply_settings(out, entrant.training_settings());
    const Settings before = base.settings(), after = out.settings();
    for (const Setting& s : after) {
      const bool is_named = std::any_of(entrant.settings.begin(), entrant.settings.end(),
                                        [&](const std::string& a) { return a.starts_with(s.name + "="); });
      if (s.scope == Scope::kSeed && is_named) {
        throw UserError(
            s.name +
            ": a race gives all entrants the same seeds; set it for the whole race, and use --seeds");
      }
      const auto old =
          std::find_if(before.begin(), before.end(), [&](const Setting& b) { return b.name == s.name; });
      if (s.scope == Scope::kMeasurement && old != before.end() && old->get() != s.get()) {
        throw UserError(
            s.name +
            ": decides what is measured, so that entrants with different values cannot be compared; set it "
            "for the whole race");
      }
    }
    out.check();
  } catch (const UserError& e) {
    throw UserError("--norms: " + entrant.label + ": " + e.what());
  }
  return out;
}

}  // namespace seednorm::lab

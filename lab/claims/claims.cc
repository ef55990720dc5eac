#include "lab/claims/claims.h"

#include <toml++/toml.h>

#include <algorithm>

#include "lab/base/error.h"
#include "lab/base/json_field.h"
#include "lab/base/suggest.h"

namespace seednorm::lab {
namespace {

struct BuiltIn {
  const char* name;
  const char* text;
};
// The build makes them from the lists and files of claims/.
constexpr BuiltIn kClaims[] = {
#include "builtin_claims.inc"
};
constexpr BuiltIn kRaces[] = {
#include "builtin_claim_races.inc"
};
constexpr BuiltIn kResults[] = {
#include "builtin_claim_results.inc"
    {"", ""},
};

toml::table table_of(const std::string& name, std::string_view text) {
  check_toml_nesting(text, name);
  try {
    return toml::parse(text, name);
  } catch (const toml::parse_error& e) {
    throw UserError(name + ":" + std::to_string(e.source().begin.line) + ": " + std::string(e.description()));
  }
}

// Reads the members of a table; every member that it was not asked for is a mistake.
class Reader {
 public:
  Reader(const toml::table& table, std::string where) : table_(table), where_(std::move(where)) {}

  std::string text(const char* key, bool is_needed = false) {
    const toml::node* const node = member(key, is_needed);
    if (node == nullptr) return "";
    const auto value = node->value_exact<std::string>();
    if (!value || (is_needed && value->empty())) refuse(key, "expected a text");
    return *value;
  }
  double number(const char* key, double otherwise) {
    const toml::node* const node = member(key, false);
    if (node == nullptr) return otherwise;
    if (!node->is_number()) refuse(key, "expected a number");
    return *node->value<double>();
  }
  bool flag(const char* key) {
    const toml::node* const node = member(key, false);
    if (node == nullptr) return false;
    if (!node->is_boolean()) refuse(key, "expected true or false");
    return *node->value<bool>();
  }
  const toml::array* array(const char* key) {
    const toml::node* const node = member(key, false);
    if (node != nullptr && !node->is_array()) refuse(key, "expected a list");
    return node == nullptr ? nullptr : node->as_array();
  }
  void finish() const {
    for (const auto& [key, node] : table_) {
      const std::string name(key.str());
      if (std::find(asked_.begin(), asked_.end(), name) == asked_.end())
        throw UserError(where_ + ": unknown key " + quote(name) + did_you_mean(name, asked_));
    }
  }

 private:
  const toml::node* member(const char* key, bool is_needed) {
    asked_.emplace_back(key);
    const toml::node* const node = table_.get(key);
    if (node == nullptr && is_needed) refuse(key, "is missing");
    return node;
  }
  [[noreturn]] void refuse(const char* key, const std::string& what) const {
    throw UserError(where_ + ": " + key + ": " + what);
  }

  const toml::table& table_;
  std::string where_;
  std::vector<std::string> asked_;
};

Expectation parse_expectation(const toml::table& table, const std::string& where) {
  Reader in(table, where);
  Expectation out;
  out.kind = in.text("kind", true);
  const bool is_check = out.kind == "check", is_convergence = out.kind == "fails_to_converge";
  const std::vector<std::string> kinds = {"better", "not_worse",         "gains_more",   "lead_grows",
                                          "sooner", "fails_to_converge", "cheaper_than", "check"};
  if (std::find(kinds.begin(), kinds.end(), out.kind) == kinds.end())
    throw UserError(where + ": kind: there is no " + quote(out.kind) + did_you_mean(out.kind, kinds));
  if (is_check) {
    out.check = in.text("check", true);
  } else {
    out.race = in.text("race", true);
    out.metric = in.text("metric");
  }
  if (is_convergence) out.entrant = in.text("entrant", true);
  if (!is_check && !is_convergence) {
    out.better = in.text("better", true);
    out.worse = in.text("worse", true);
  }
  if (out.kind == "better") out.tuned = in.flag("tuned");
  if (out.kind == "not_worse") out.margin = in.number("margin", 0);
  if (out.kind == "gains_more") out.than_race = in.text("than_race", true);
  if (out.kind == "sooner" || out.kind == "cheaper_than") out.factor = in.number("factor", 1);
  if (!(out.factor > 0)) throw UserError(where + ": factor: expected a positive number");
  in.finish();
  return out;
}

std::vector<std::string> names_of(const BuiltIn* begin, const BuiltIn* end) {
  std::vector<std::string> out;
  for (const BuiltIn* b = begin; b != end; ++b) out.emplace_back(b->name);
  return out;
}

const char* find_text(const BuiltIn* begin, const BuiltIn* end, const std::string& name) {
  const BuiltIn* const found = std::find_if(begin, end, [&](const BuiltIn& b) { return name == b.name; });
  return found == end ? nullptr : found->text;
}

}  // namespace

std::vector<std::string> Claim::races() const {
  std::vector<std::string> out;
  for (const Expectation& e : expectations) {
    for (const std::string& race : {e.race, e.than_race}) {
      if (!race.empty() && std::find(out.begin(), out.end(), race) == out.end()) out.push_back(race);
    }
  }
  return out;
}

Claim parse_claim(const std::string& name, std::string_view toml) {
  const toml::table table = table_of(name, toml);
  Reader in(table, name);
  Claim out;
  out.name = name;
  out.source = in.text("source", true);
  out.statement = in.text("statement", true);
  out.paper = in.text("paper", true);
  out.decides = in.text("decides", true);
  const toml::array* const list = in.array("expect");
  in.finish();
  if (list == nullptr || list->empty()) throw UserError(name + ": expect: a claim needs a decision rule");
  for (const auto& node : *list) {
    if (!node.is_table()) throw UserError(name + ": expect: expected tables, [[expect]]");
    out.expectations.push_back(parse_expectation(
        *node.as_table(), name + ": expect " + std::to_string(out.expectations.size() + 1)));
  }
  return out;
}

ClaimRace parse_claim_race(const std::string& name, std::string_view toml) {
  const toml::table table = table_of(name, toml);
  Reader in(table, name);
  ClaimRace out;
  out.name = name;
  out.about = in.text("about", true);
  out.recipe = in.text("recipe", true);
  out.data = in.text("data", true);
  if (out.data != "text" && out.data != "digits")
    throw UserError(name + ": data: expected text or digits, got " + quote(out.data));
  out.init_from = in.text("init_from");
  const size_t slash = out.init_from.find('/');
  if (!out.init_from.empty() &&
      (slash == std::string::npos || slash == 0 || slash + 1 == out.init_from.size()))
    throw UserError(name + ": init_from: expected RACE/ENTRANT, got " + quote(out.init_from));
  if (const toml::array* const settings = in.array("settings")) {
    for (const auto& node : *settings) {
      const auto value = node.value_exact<std::string>();
      if (!value) throw UserError(name + ": settings: expected texts");
      out.settings.push_back(*value);
    }
  }
  out.norms = in.text("norms", true);
  out.lrs = in.text("lrs");
  out.seeds = static_cast<int64_t>(in.number("seeds", 1));
  if (out.seeds < 1 || out.seeds > 1000) throw UserError(name + ": seeds: expected a number from 1 to 1000");
  in.finish();
  return out;
}

std::vector<std::string> claim_names() { return names_of(std::begin(kClaims), std::end(kClaims)); }

Claim load_claim(const std::string& name) {
  const char* const text = find_text(std::begin(kClaims), std::end(kClaims), name);
  if (text == nullptr) {
    throw UserError("no claim " + quote(name) + did_you_mean(name, claim_names()) +
                    "; expected one of seednorm claim --list");
  }
  return parse_claim(name, text);
}

std::vector<std::string> claim_race_names() { return names_of(std::begin(kRaces), std::end(kRaces)); }

ClaimRace load_claim_race(const std::string& name) {
  const char* const text = find_text(std::begin(kRaces), std::end(kRaces), name);
  if (text == nullptr) throw UserError("no race " + quote(name) + did_you_mean(name, claim_race_names()));
  return parse_claim_race(name, text);
}

std::optional<RaceSummary> built_in_result(const std::string& race) {
  const char* const text = find_text(std::begin(kResults), std::end(kResults), race);
  if (text == nullptr || race.empty()) return std::nullopt;
  return race_summary(parse_json_or_null(text), {});
}

}  // namespace seednorm::lab

// Reads and writes recipes as TOML.
#include <toml++/toml.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <sstream>

#include "lab/base/error.h"
#include "lab/base/file.h"
#include "lab/base/json_field.h"
#include "lab/base/suggest.h"
#include "lab/recipes/recipe.h"

namespace seednorm::lab {
namespace {

constexpr size_t kMaxRecipeBytes = size_t{1} << 20;
constexpr int kMaxBases = 8;  // built-in recipes have two at most

struct BuiltIn {
  const char* name;
  const char* toml;
};
constexpr BuiltIn kBuiltIn[] = {
#include "builtin_recipes.inc"  // made by the build from recipes.txt and builtin/
};

using Values = std::vector<std::pair<std::string, std::string>>;

// Keys of nested tables joined by dots, values as they would be written after "=".
void flatten(const toml::table& table, const std::string& prefix, Values* out) {
  for (const auto& [key, node] : table) {
    const std::string name = prefix + std::string(key.str());
    if (const auto* inner = node.as_table()) {
      flatten(*inner, name + ".", out);
      continue;
    }
    if (const auto text = node.value_exact<std::string>()) {
      out->emplace_back(name, *text);
      continue;
    }
    std::ostringstream value;
    if (!node.is_integer() && !node.is_floating_point() && !node.is_boolean()) {
      throw UserError(name + ": expected a text, a number, true or false");
    }
    node.visit([&](const auto& n) {
      if constexpr (toml::is_value<decltype(n)>) value << n;
    });
    out->emplace_back(name, value.str());
  }
}

Values parse_values(const std::string& name, std::string_view text) {
  check_toml_nesting(text, name);
  toml::table table;
  try {
    table = toml::parse(text, name);
  } catch (const toml::parse_error& e) {
    throw UserError(name + ":" + std::to_string(e.source().begin.line) + ":" +
                    std::to_string(e.source().begin.column) + ": " + std::string(e.description()));
  }
  Values out;
  flatten(table, "", &out);
  return out;
}

std::optional<std::string> take(Values& values, std::string_view key) {
  const auto found =
      std::find_if(values.begin(), values.end(), [&](const auto& v) { return v.first == key; });
  if (found == values.end()) return std::nullopt;
  std::string value = found->second;
  values.erase(found);
  return value;
}

Recipe from_text(const std::string& name, std::string_view text, int depth);

Recipe built_in(const std::string& name, int depth) {
  if (depth > kMaxBases) throw UserError(name + ": too many recipes based on each other");
  for (const BuiltIn& b : kBuiltIn) {
    if (name == b.name) return from_text(name, b.toml, depth);
  }
  throw UserError("no recipe " + quote(name) + did_you_mean(name, recipe_names()) +
                  "; expected one of seednorm info --list, or the path of a .toml file");
}

// In files that runs of earlier versions wrote, which have every setting, eval_batches counted passes of
// micro_batch_size rows.
bool is_of_earlier_version(const Values& values) {
  const auto has = [&](std::string_view key) {
    return std::any_of(values.begin(), values.end(), [&](const auto& v) { return v.first == key; });
  };
  return has("eval_batches") && has("keep_checkpoints") && has("log_every") && !has("workload");
}

Recipe from_text(const std::string& name, std::string_view text, int depth) {
  Values values = parse_values(name, text);
  const bool earlier = is_of_earlier_version(values);
  try {
    std::optional<Recipe> recipe;
    if (const auto base = take(values, "base")) recipe = built_in(*base, depth + 1);
    if (const auto workload = take(values, "workload");
        workload && !(recipe && recipe->workload() == *workload)) {
      recipe = Recipe(*workload);
    }
    if (!recipe) recipe = Recipe();
    recipe->name = std::filesystem::path(name).filename().string();
    if (recipe->name.ends_with(".toml")) recipe->name.resize(recipe->name.size() - 5);
    if (const auto about = take(values, "about")) recipe->about = *about;
    // "family" decides the sites, "norm" sets all of them, and a site's own setting takes precedence in any
    // order.
    for (const char* first : {"family", "norm"}) {
      if (const auto value = take(values, first)) apply_setting(*recipe, std::string(first) + "=" + *value);
    }
    const auto eval_batches = take(values, "eval_batches");
    for (const auto& [key, value] : values) apply_setting(*recipe, key + "=" + value);
    if (eval_batches) {
      const int64_t micro = recipe->train.micro_batch_size;
      set_eval_batches(*recipe, *eval_batches, earlier && micro > 0 ? micro : recipe->train.batch_size);
    }
    return *recipe;
  } catch (const UserError& e) {
    if (depth > 0 || name.find(".toml") == std::string::npos) throw;
    throw UserError(name + ": " + e.what());
  }
}

// The remark behind the setting in the text of a recipe; nothing if the text does not set it.
std::optional<std::string> remark_in(std::string_view text, const std::string& setting) {
  std::istringstream lines{std::string(text)};
  std::string table;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("[")) table = line.substr(1, line.find(']') - 1) + ".";
    const std::string key = table + line.substr(0, line.find(' '));
    // "norm" sets every site.
    if (key != setting && !(key == "norm" && setting.starts_with("norm."))) continue;
    const size_t mark = line.find("# [");
    return mark == std::string::npos ? "" : line.substr(mark + 2);
  }
  return std::nullopt;
}

std::string quoted(const std::string& text) {
  std::ostringstream out;
  out << toml::toml_formatter(toml::value<std::string>(text), toml::format_flags::allow_unicode_strings);
  return out.str();
}

}  // namespace

Recipe parse_recipe(const std::string& name, std::string_view toml) { return from_text(name, toml, 0); }

Recipe load_recipe(const std::string& name_or_path) {
  if (!name_or_path.ends_with(".toml")) return built_in(name_or_path, 0);
  return from_text(name_or_path, read_file(name_or_path, kMaxRecipeBytes), 0);
}

std::vector<std::string> recipe_names() {
  std::vector<std::string> names;
  for (const BuiltIn& b : kBuiltIn) names.emplace_back(b.name);
  return names;
}

std::string setting_source(const std::string& recipe, const std::string& setting) {
  std::string name = recipe;
  for (int depth = 0; depth <= kMaxBases; ++depth) {
    const auto found = std::find_if(std::begin(kBuiltIn), std::end(kBuiltIn),
                                    [&](const BuiltIn& b) { return name == b.name; });
    if (found == std::end(kBuiltIn)) break;
    if (const auto remark = remark_in(found->toml, setting)) return *remark;
    Values values = parse_values(name, found->toml);
    const auto base = take(values, "base");
    if (!base) break;
    name = *base;
  }
  return "default";
}

std::string to_toml(const Recipe& recipe) {
  Recipe copy(recipe);
  std::string out = "about = " + quoted(recipe.about) + "\nworkload = " + quoted(recipe.workload()) + "\n";
  for (const Setting& s : copy.settings()) {
    out += s.name + " = " + (s.is_text ? quoted(s.get()) : s.get()) + "\n";
  }
  return out;
}

}  // namespace seednorm::lab

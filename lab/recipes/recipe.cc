#include "lab/recipes/recipe.h"

#include <toml++/toml.h>
#include <algorithm>
#include <filesystem>
#include <optional>
#include <sstream>

#include "lab/base/error.h"
#include "lab/base/file.h"
#include "lab/base/suggest.h"

namespace seednorm::lab {
namespace {

constexpr size_t kMaxRecipeBytes = size_t{1} << 20;

struct BuiltIn {
  const char* name;
  const char* toml;
};
constexpr BuiltIn kBuiltIn[] = {
#include "builtin_recipes.inc"  // made by the build from recipes.txt and builtin/
};

const Setting& find(std::string_view key) {
  std::vector<std::string> names;
  for (const Setting& s : settings()) {
    if (s.name == key) return s;
    names.emplace_back(s.name);
  }
  throw UserError("no setting " + quote(key) + did_you_mean(key, names));
}

void set(Recipe& recipe, std::string_view key, std::string_view value) {
  if (key == "norm") {
    for (const char* position : {"norm.block", "norm.qk", "norm.output"}) set(recipe, position, value);
    return;
  }
  const Setting& setting = find(key);
  try {
    setting.set(recipe, value);
  } catch (const std::exception& e) {
    throw UserError(std::string(key) + ": " + e.what());
  }
}

// Keys of nested tables joined by dots, values as they would be written after "=".
void flatten(const toml::table& table, const std::string& prefix,
             std::vector<std::pair<std::string, std::string>>* out) {
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

Recipe from_toml(const std::string& name, std::string_view text);

Recipe built_in(const std::string& name) {
  for (const BuiltIn& b : kBuiltIn) {
    if (name == b.name) return from_toml(name, b.toml);
  }
  throw UserError("no recipe " + quote(name) + did_you_mean(name, recipe_names()) +
                  "; expected one of seednorm info --list, or the path of a .toml file");
}

// `name` is a built-in recipe's, or a file's for messages.
Recipe from_toml(const std::string& name, std::string_view text) {
  toml::table table;
  try {
    table = toml::parse(text, name);
  } catch (const toml::parse_error& e) {
    throw UserError(name + ":" + std::to_string(e.source().begin.line) + ":" +
                    std::to_string(e.source().begin.column) + ": " + std::string(e.description()));
  }
  std::vector<std::pair<std::string, std::string>> values;
  flatten(table, "", &values);
  const auto take = [&](const char* key) -> std::optional<std::string> {
    const auto found =
        std::find_if(values.begin(), values.end(), [&](const auto& v) { return v.first == key; });
    if (found == values.end()) return std::nullopt;
    std::string value = found->second;
    values.erase(found);
    return value;
  };
  Recipe recipe;
  if (const auto base = take("base")) recipe = built_in(*base);
  recipe.name = std::filesystem::path(name).filename().string();
  if (recipe.name.ends_with(".toml")) recipe.name.resize(recipe.name.size() - 5);
  if (const auto about = take("about")) recipe.about = *about;
  // "norm" first, so that a position's own setting wins whatever the order.
  if (const auto norm = take("norm")) set(recipe, "norm", *norm);
  for (const auto& [key, value] : values) {
    try {
      set(recipe, key, value);
    } catch (const UserError& e) {
      throw UserError(name + ": " + e.what());
    }
  }
  return recipe;
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

}  // namespace

void apply_setting(Recipe& recipe, std::string_view assignment) {
  const size_t equals = assignment.find('=');
  if (equals == std::string_view::npos) {
    throw UserError("expected setting=value, got " + quote(assignment));
  }
  set(recipe, assignment.substr(0, equals), assignment.substr(equals + 1));
}

Recipe load_recipe(const std::string& name_or_path) {
  if (!name_or_path.ends_with(".toml")) return built_in(name_or_path);
  return from_toml(name_or_path, read_file(name_or_path, kMaxRecipeBytes));
}

std::vector<std::string> recipe_names() {
  std::vector<std::string> names;
  for (const BuiltIn& b : kBuiltIn) names.emplace_back(b.name);
  return names;
}

std::string to_toml(const Recipe& recipe) {
  std::string out = "about = " + quoted(recipe.about) + "\n";
  for (const Setting& s : settings()) {
    const std::string value = s.get(recipe);
    const bool is_word = value == "true" || value == "false";
    const bool is_number = !value.empty() && value.find_first_not_of("0123456789+-.e") == std::string::npos;
    out += std::string(s.name) + " = " + (is_word || is_number ? value : quoted(value)) + "\n";
  }
  return out;
}

}  // namespace seednorm::lab

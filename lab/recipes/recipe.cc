#include "lab/recipes/recipe.h"

#include <algorithm>

#include "lab/base/error.h"
#include "lab/base/suggest.h"

namespace seednorm::lab {

#define SEEDNORM_WORKLOAD(name) std::unique_ptr<WorkloadConfig> name##_config();
#include "lab/recipes/workloads.def"
#undef SEEDNORM_WORKLOAD

namespace {

std::unique_ptr<WorkloadConfig> config_of(const std::string& workload) {
#define SEEDNORM_WORKLOAD(name) \
  if (workload == #name) return name##_config();
#include "lab/recipes/workloads.def"
#undef SEEDNORM_WORKLOAD
  throw UserError("workload: no workload " + quote(workload) + did_you_mean(workload, workload_names()));
}

Setting find(Settings all, std::string_view key) {
  std::vector<std::string> names;
  for (Setting& s : all) {
    if (s.name == key) return std::move(s);
    names.emplace_back(s.name);
  }
  const std::string meant = did_you_mean(key, names);
  throw UserError("no setting " + quote(key) +
                  (meant.empty() ? "; seednorm info RECIPE --settings lists all of them" : meant));
}

void set(const Setting& setting, std::string_view value) {
  try {
    setting.set(value);
  } catch (const std::exception& e) {
    throw UserError(setting.name + ": " + e.what());
  }
}

}  // namespace

std::vector<std::string> workload_names() {
  return {
#define SEEDNORM_WORKLOAD(name) #name,
#include "lab/recipes/workloads.def"
#undef SEEDNORM_WORKLOAD
  };
}

Recipe::Recipe(const std::string& workload) : workload_(workload), config_(config_of(workload)) {}

Recipe::Recipe(const Recipe& other)
    : name(other.name),
      about(other.about),
      train(other.train),
      workload_(other.workload_),
      config_(other.config_->clone()) {}

Recipe& Recipe::operator=(const Recipe& other) { return *this = Recipe(other); }

Settings Recipe::settings() {
  Settings out = config_->settings();
  for (Setting& s : train_settings(train, unit())) out.push_back(std::move(s));
  return out;
}

std::vector<std::pair<std::string, std::string>> Recipe::values() const {
  Recipe copy(*this);  // settings are bound to variables that can be changed
  std::vector<std::pair<std::string, std::string>> out;
  for (const Setting& s : copy.settings()) out.emplace_back(s.name, s.get());
  return out;
}

void Recipe::check() const {
  try {
    train.check(unit());
    config_->check();
  } catch (const std::invalid_argument& e) {
    throw UserError(e.what());
  }
}

void apply_setting(Recipe& recipe, std::string_view assignment) {
  const size_t equals = assignment.find('=');
  if (equals == std::string_view::npos) {
    throw UserError("expected setting=value, got " + quote(assignment));
  }
  const std::string_view key = assignment.substr(0, equals), value = assignment.substr(equals + 1);
  if (key == "eval_batches") return set_eval_batches(recipe, value, recipe.train.batch_size);
  const Settings all = recipe.settings();
  if (key != "norm") return set(find(all, key), value);
  for (const Setting& s : all) {
    if (s.name.starts_with("norm.")) set(s, value);
  }
}

void apply_settings(Recipe& recipe, const std::vector<std::string>& assignments) {
  for (const bool last : {false, true}) {
    for (const std::string& assignment : assignments) {
      if (assignment.starts_with("eval_batches=") == last) apply_setting(recipe, assignment);
    }
  }
}

void set_eval_batches(Recipe& recipe, std::string_view batches, int64_t rows) {
  int64_t count = 0;
  set(Setting("eval_batches", "", count), batches);
  constexpr int64_t kMaxRows = int64_t{1} << 30;
  if (count < 0 || count > kMaxRows / std::max<int64_t>(rows, 1)) {
    throw UserError("eval_batches: expected 0, or batches of " + std::to_string(rows) +
                    " rows that make at most 2^30, got " + std::string(batches));
  }
  recipe.train.eval_rows = count * rows;
}

std::optional<std::string> difference(const Recipe& old, const Recipe& now) {
  if (old.workload() != now.workload()) {
    return "workload: " + old.workload() + " there, " + now.workload() + " now";
  }
  Recipe there(old), here(now);
  const Settings a = there.settings(), b = here.settings();
  for (const Setting& x : a) {
    const auto y = std::find_if(b.begin(), b.end(), [&](const Setting& s) { return s.name == x.name; });
    if (x.scope == Scope::kMachine || y == b.end() || x.get() == y->get()) continue;
    return x.name + ": " + (x.get().empty() ? "nothing" : x.get()) + " there, " +
           (y->get().empty() ? "nothing" : y->get()) + " now";
  }
  return std::nullopt;
}

}  // namespace seednorm::lab

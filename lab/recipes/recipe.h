// A recipe: a kind of model and its training, with settings under the names that users write.
#ifndef SEEDNORM_LAB_RECIPES_RECIPE_H_
#define SEEDNORM_LAB_RECIPES_RECIPE_H_

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lab/train/config.h"
#include "lab/train/workload_config.h"

namespace seednorm::lab {

// Names of workloads.def.
std::vector<std::string> workload_names();

class Recipe {
 public:
  // A workload's defaults. Errors (UserError): not one of workload_names().
  explicit Recipe(const std::string& workload = "language");
  Recipe(const Recipe& other);
  Recipe(Recipe&&) noexcept = default;
  Recipe& operator=(const Recipe& other);
  Recipe& operator=(Recipe&&) noexcept = default;

  std::string name;
  std::string about;  // one line that describes the recipe and its source
  TrainConfig train;

  const std::string& workload() const { return workload_; }
  std::string unit() const { return config_->unit(); }  // "token"
  const WorkloadConfig& config() const { return *config_; }
  // The workload's own settings, as Config. Errors (std::bad_cast): a recipe of another workload.
  template <class Config>
  Config& config_as() {
    return dynamic_cast<Config&>(*config_);
  }
  template <class Config>
  const Config& config_as() const {
    return dynamic_cast<const Config&>(*config_);
  }

  // Every setting, bound to this recipe: the workload's, then those of training.
  Settings settings();
  // Each setting's name and value, in the same order.
  std::vector<std::pair<std::string, std::string>> values() const;

  // Errors (UserError): settings that are invalid or inconsistent; the message begins with a setting's name.
  void check() const;

 private:
  std::string workload_;
  std::unique_ptr<WorkloadConfig> config_;
};

// `assignment` is "setting=value". Two short forms stand for others: "norm" sets every norm site, and
// "eval_batches=N" sets eval_rows to N times the batch_size that the recipe has at that point. Errors
// (UserError): the setting does not exist (the nearest name is given) or does not take the value.
void apply_setting(Recipe& recipe, std::string_view assignment);
// Applies all assignments, the short form eval_batches last, so that their order does not matter.
void apply_settings(Recipe& recipe, const std::vector<std::string>& assignments);
// Sets eval_rows to a number of batches of `rows` rows.
void set_eval_batches(Recipe& recipe, std::string_view batches, int64_t rows);

// A built-in recipe, or a TOML file whose name ends in .toml: keys are settings, and "base" names a
// built-in recipe to start from. Errors (UserError): neither of these; a mistake in the file, with its line.
Recipe load_recipe(const std::string& name_or_path);
std::vector<std::string> recipe_names();

// Where a built-in recipe, or one of its bases, has the value of a setting from: the remark behind it that
// begins with a mark, "[paper] 500B tokens". "" if there is no remark, "default" if none of them sets it.
std::string setting_source(const std::string& recipe, const std::string& setting);

// Parses the text of such a file; `name` is for messages.
Recipe parse_recipe(const std::string& name, std::string_view toml);

// Every setting as TOML that load_recipe reads.
std::string to_toml(const Recipe& recipe);

// What a run that was begun with the recipe `old` would do otherwise with `now`: "lr: 0.001 there, 0.002
// now". Nothing if they train the same. Settings of the machine (threads) do not count.
std::optional<std::string> difference(const Recipe& old, const Recipe& now);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_RECIPES_RECIPE_H_

// One setting of a recipe: its text form, the variable it changes, and where it may change. Without libtorch.
#ifndef SEEDNORM_LAB_TRAIN_SETTING_H_
#define SEEDNORM_LAB_TRAIN_SETTING_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "lab/nn/norm_spec.h"

namespace seednorm::lab {

enum class Scope {
  kTraining,     // affects the training: a resumed run needs the same value
  kMeasurement,  // also affects what is measured: all entrants of a race need the same value
  kSeed,         // set by a race for each of its runs
  kMachine,      // depends on the machine: a resumed run may have another value, with the same results
};

// A setting is bound to a variable, which must outlive it.
struct Setting {
  std::string name, help;
  Scope scope = Scope::kTraining;
  bool is_text = false;                       // neither a number nor a truth value
  std::function<void(std::string_view)> set;  // throws UserError without the setting's name
  std::function<std::string()> get;           // as `set` reads it

  Setting(std::string name, std::string help, int64_t& value, Scope scope = Scope::kTraining);
  Setting(std::string name, std::string help, double& value, Scope scope = Scope::kTraining);
  Setting(std::string name, std::string help, bool& value, Scope scope = Scope::kTraining);
  Setting(std::string name, std::string help, std::string& value, Scope scope = Scope::kTraining);
  Setting(std::string name, std::string help, NormSpec& value, Scope scope = Scope::kTraining);
  // A setting whose value is a word.
  Setting(std::string name, std::string help, std::function<void(std::string_view)> set,
          std::function<std::string()> get, Scope scope = Scope::kTraining);
};

using Settings = std::vector<Setting>;

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_TRAIN_SETTING_H_

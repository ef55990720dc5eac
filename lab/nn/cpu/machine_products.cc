#include "lab/nn/cpu/machine_products.h"

#include <ATen/Version.h>
#include <torch/headeronly/version.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>

#include "lab/base/machine.h"
#include "lab/base/sha256.h"

namespace seednorm::lab {
namespace {

namespace fs = std::filesystem;

std::optional<fs::path> cache_folder() {
  for (const auto& [variable, below] : {std::pair{"XDG_CACHE_HOME", ""}, {"HOME", ".cache"}}) {
    const char* folder = std::getenv(variable);
    if (folder != nullptr && *folder != '\0') return fs::path(folder) / below / "seednorm";
  }
  return std::nullopt;
}

// What the measurement depends on.
std::string key() {
  return machine().value("cpu", "") + ", " + at::get_cpu_capability() + ", libtorch " + TORCH_VERSION;
}

std::optional<ProductChoice> read(const fs::path& file) {
  std::ifstream lines(file);
  std::string text;
  if (!std::getline(lines, text)) return std::nullopt;
  try {
    return ProductChoice::parse(text);
  } catch (const std::invalid_argument&) {  // of another version
    return std::nullopt;
  }
}

// Writes the file unless it exists; of several processes the first one's content stays.
void keep(const fs::path& file, const ProductChoice& choice) {
  std::error_code failed;
  fs::create_directories(file.parent_path(), failed);
  const fs::path own = file.string() + "." + std::to_string(::getpid());
  std::ofstream(own) << choice.text() << "\n" << key() << "\n";
  fs::create_hard_link(own, file, failed);
  fs::remove(own, failed);
}

ProductChoice kept_or_measured() {
  const std::optional<fs::path> folder = cache_folder();
  if (!folder) return measure_product_choice();
  const fs::path file = *folder / ("products-" + sha256_hex(key()).substr(0, 16) + ".txt");
  if (const auto kept = read(file)) return *kept;
  const ProductChoice measured = measure_product_choice();
  std::error_code failed;
  fs::remove(file, failed);  // what is there cannot be read
  keep(file, measured);
  return read(file).value_or(measured);
}

}  // namespace

ProductChoice machine_product_choice() {
  static const ProductChoice kChoice = kept_or_measured();
  return kChoice;
}

ProductChoice product_choice_of(const std::string& setting) {
  return setting == "auto" ? machine_product_choice() : ProductChoice::parse(setting);
}

}  // namespace seednorm::lab

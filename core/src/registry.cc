#include "core/src/registry.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <vector>

namespace seednorm {

#define SEEDNORM_NORM(norm_name) \
  namespace norm_name {          \
  NormInfo registered_info();    \
  }
#include "core/norms/norms.def"
#undef SEEDNORM_NORM

namespace {

// The Levenshtein distance, one row of the table at a time.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

std::span<const NormInfo> all_norms() {
  static const auto all = [] {  // no destructor: norms may be used while a program ends
    std::array norms = {
#define SEEDNORM_NORM(norm_name) norm_name::registered_info(),
#include "core/norms/norms.def"
#undef SEEDNORM_NORM
    };
    for (size_t i = 0; i < norms.size(); ++i) norms[i].index = static_cast<int>(i);
    return norms;
  }();
  return all;
}

const NormInfo* find_norm(std::string_view name) {
  for (const NormInfo& info : all_norms()) {
    if (name == info.name) return &info;
  }
  return nullptr;
}

std::string nearest_norm_name(std::string_view name) {
  const auto nearer = [&](const NormInfo& a, const NormInfo& b) {
    return edit_distance(name, a.name) < edit_distance(name, b.name);
  };
  return std::min_element(all_norms().begin(), all_norms().end(), nearer)->name;
}

std::vector<std::string> norm_names() {
  std::vector<std::string> names;
  for (const NormInfo& info : all_norms()) names.emplace_back(info.name);
  return names;
}

}  // namespace seednorm

#include "core/src/registry.h"

#include <algorithm>
#include <numeric>
#include <vector>

namespace seednorm {

#define SEEDNORM_NORM(norm_name) \
  namespace norm_name {          \
  const NormInfo& shared_info(); \
  const NormKernels& kernels();  \
  }
#include "core/norms/norms.def"
#undef SEEDNORM_NORM

namespace {

struct Entry {
  const char* name;
  const NormInfo& (*info)();
  const NormKernels& (*kernels)();
};

constexpr Entry kEntries[] = {
#define SEEDNORM_NORM(norm_name) {#norm_name, norm_name::shared_info, norm_name::kernels},
#include "core/norms/norms.def"
#undef SEEDNORM_NORM
};

// Levenshtein's, one row of the table at a time.
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

RegisteredNorm find_norm(std::string_view name) {
  for (const Entry& entry : kEntries) {
    if (name == entry.name) return {&entry.info(), &entry.kernels()};
  }
  return {nullptr, nullptr};
}

std::string nearest_norm_name(std::string_view name) {
  const auto nearer = [&](const Entry& a, const Entry& b) {
    return edit_distance(name, a.name) < edit_distance(name, b.name);
  };
  return std::min_element(std::begin(kEntries), std::end(kEntries), nearer)->name;
}

std::vector<std::string> norm_names() {
  std::vector<std::string> names;
  for (const Entry& entry : kEntries) names.emplace_back(entry.name);
  return names;
}

}  // namespace seednorm

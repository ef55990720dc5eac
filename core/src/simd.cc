// Listing and forcing SIMD targets: a thin layer over Highway's dispatch.
#include "seednorm/simd.h"

#include <hwy/targets.h>

#include <stdexcept>

namespace seednorm {
namespace {

// A lower bit is a better target. HWY_TARGETS holds the compiled ones: it must be the same here as in the
// kernels, so its macros are set once for the whole build.
int64_t best_of(int64_t targets) { return targets & -targets; }

// This must be read before anything narrows Highway's set: set_simd_target() calls this first.
int64_t usable_targets() {
  static const int64_t targets = hwy::SupportedTargets() & HWY_TARGETS;
  return targets;
}

}  // namespace

std::vector<std::string> simd_targets() {
  std::vector<std::string> names;
  for (int64_t left = usable_targets(); left != 0; left &= left - 1) {
    names.emplace_back(hwy::TargetName(best_of(left)));
  }
  return names;
}

std::string simd_target() {
  usable_targets();
  return hwy::TargetName(best_of(hwy::SupportedTargets() & HWY_TARGETS));
}

void set_simd_target(const std::string& target) {
  const int64_t usable = usable_targets();
  if (target.empty()) return hwy::SetSupportedTargetsForTest(0);
  for (int64_t left = usable; left != 0; left &= left - 1) {
    if (target == hwy::TargetName(best_of(left))) return hwy::SetSupportedTargetsForTest(best_of(left));
  }
  std::string known;
  for (const std::string& name : simd_targets()) known += (known.empty() ? "" : ", ") + name;
  throw std::invalid_argument("[simd] target: expected one of " + known + ", got " + target);
}

}  // namespace seednorm

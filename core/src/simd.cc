// Listing and forcing SIMD targets: a thin layer over Highway's dispatch.
#include "seednorm/simd.h"

#include <hwy/targets.h>

#include <stdexcept>

#include "core/kernel/hardware_rounding.h"

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

// Whether the processor has AVX512_BF16, which kernels of AVX-512 targets use.
bool has_hardware_rounding() {
#if HWY_ARCH_X86
  return __builtin_cpu_supports("avx512bf16");
#else
  return false;
#endif
}

bool hardware_rounding_allowed = true;

// A target of Highway, or its twin that lets the processor round.
struct Choice {
  int64_t target;
  bool hardware_rounding;

  std::string name() const { return hwy::TargetName(target) + std::string(hardware_rounding ? "_BF16" : ""); }
};

std::vector<Choice> choices() {
  std::vector<Choice> all;
  for (int64_t left = usable_targets(); left != 0; left &= left - 1) {
    const int64_t target = best_of(left);
    if (target <= HWY_AVX3 && has_hardware_rounding()) all.push_back({target, true});
    all.push_back({target, false});
  }
  return all;
}

int64_t target_in_use() {
  usable_targets();
  return best_of(hwy::SupportedTargets() & HWY_TARGETS);
}

}  // namespace

bool rounds_in_hardware() {
  static const bool available = has_hardware_rounding();
  return available && hardware_rounding_allowed;
}

std::vector<std::string> simd_targets() {
  std::vector<std::string> names;
  for (const Choice& choice : choices()) names.push_back(choice.name());
  return names;
}

std::string simd_target() {
  const int64_t target = target_in_use();
  return Choice{target, target <= HWY_AVX3 && rounds_in_hardware()}.name();
}

void set_simd_target(const std::string& target) {
  const std::vector<Choice> all = choices();  // reads what is usable before anything narrows it
  if (target.empty()) {
    hardware_rounding_allowed = true;
    return hwy::SetSupportedTargetsForTest(0);
  }
  for (const Choice& choice : all) {
    if (target != choice.name()) continue;
    hardware_rounding_allowed = choice.hardware_rounding;
    return hwy::SetSupportedTargetsForTest(choice.target);
  }
  std::string known;
  for (const std::string& name : simd_targets()) known += (known.empty() ? "" : ", ") + name;
  throw std::invalid_argument("[simd] target: expected one of " + known + ", got " + target);
}

}  // namespace seednorm

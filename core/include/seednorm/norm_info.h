// The description of a norm: its parameters, their roles and names, and its options.
#ifndef SEEDNORM_NORM_INFO_H_
#define SEEDNORM_NORM_INFO_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string_view>

#include "seednorm/options.h"

namespace seednorm {

// The purpose of a parameter, by which training chooses its weight decay.
enum class ParamRole : int32_t {
  kGain = 0,   // gamma, a factor of the normalized row: decayed where the baseline decays its gains
  kOffset,     // LayerNorm's, DyT's and Derf's beta, Derf's shift
  kSlope,      // DyT's and Derf's alpha
  kDynamic,    // alpha and beta of SeeDNorm and AdaSeeDNorm: decayed like a matrix (Section 3, Table 4)
  kCondition,  // AdaSeeDNorm's gamma(c) and eta(c), which the model computes for each sample
};
constexpr int kNumParamRoles = 5;
const char* name_of(ParamRole role);  // "gain", "offset", "slope", "dynamic", "condition"

// A set of forms.
class FormSet {
 public:
  constexpr FormSet(std::initializer_list<Form> forms) {
    for (const Form form : forms) bits_ |= 1u << static_cast<uint32_t>(form);
  }
  constexpr bool contains(Form form) const {
    return static_cast<uint32_t>(form) < 32 && (bits_ >> static_cast<uint32_t>(form) & 1) != 0;
  }

 private:
  uint32_t bits_ = 0;
};

// A parameter of a norm, independent of the norm's width and options.
struct NormParamInfo {
  Param param = Param::kGamma;
  ParamRole role = ParamRole::kGain;
  const char* state_name = nullptr;      // its name in state dictionaries: gamma is "weight"
  double initial_value = 0;              // for training; one lower for a gamma that is used as 1 + gamma
  bool initial_times_root_dim = false;   // the initial value is initial_value sqrt(D)
  double absent_value = 0;               // the value that kNone stands for
  FormSet forms = {Form::kVector};       // among which the options may choose
  ParamKind shape = ParamKind::kVector;  // kScalar and kPerSample hold for every form
};

struct NormKernels;  // a norm's compiled kernels

// The description of a norm, defined in the norm's file in core/norms; no other code knows norms by name.
struct NormInfo {
  static constexpr size_t kMaxParams = 4;

  const char* name = nullptr;
  // In the order of the operators' arguments. Entries beyond the last parameter have no state_name.
  std::array<NormParamInfo, kMaxParams> all_params{};
  int64_t (*num_stats)(const Options& options) = nullptr;
  bool has_residual_add = false;
  // The options that the norm has.
  bool has_eps = false, has_heads = false, has_sigma = false, has_dropout = false;
  // The norm that this one equals bit for bit, with that norm's gamma, as long as all other parameters have
  // their initial values, so that replacing it does not change outputs. Null if there is no such norm.
  const char* starts_as = nullptr;
  // Set by the registry.
  const NormKernels* kernels = nullptr;
  int index = 0;  // the norm's place in norm_names()

  std::span<const NormParamInfo> params() const;
  const NormParamInfo* find(Param param) const;  // null if the norm does not have it
  bool needs_condition() const;                  // some parameter has a row for each sample
};

// The description of a norm of norm_names(). Throws std::invalid_argument for another name.
const NormInfo& norm_info(std::string_view name);

}  // namespace seednorm

#endif  // SEEDNORM_NORM_INFO_H_

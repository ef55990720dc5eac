// The options of norms, and the parameters that norms can have.
#ifndef SEEDNORM_OPTIONS_H_
#define SEEDNORM_OPTIONS_H_

#include <cstdint>
#include <utility>

namespace seednorm {

// Activation of the dynamic coefficient (paper, Figure 4). gelu is the exact (erf) form.
enum class Sigma : int32_t { kTanh = 0, kSigmoid, kHardtanh, kSoftsign, kGelu, kSilu, kIdentity };
constexpr int kNumSigmas = 7;

// Form of a parameter of the layer. The norm decides which forms it allows and what kNone stands for.
enum class Form : int32_t {
  kVector = 0,   // [D]
  kScalar,       // [1]
  kNone,         // absent
  kPlusOne,      // gamma only: [D], the layer uses 1 + gamma
  kElementwise,  // beta only: [D], u_i = sigma(x_i beta_i) (Table 3, "x (.) beta")
};
constexpr int kNumForms = 5;

// Options of a norm in addition to its width. An option that a norm does not have must keep its default.
// The allowed forms are as follows; the value of an absent parameter is in brackets:
//   seed_norm      gamma: vector, none (0), plus_one   alpha: vector, scalar, none (1)
//                  beta: vector, elementwise, none
//   ada_seed_norm  alpha: vector, scalar, none (1)
//   rms_norm       gamma: vector, none (1), plus_one
//   layer_norm     gamma: vector, none (1)             beta: vector, none (0)
struct Options {
  double eps = 1e-6;      // > 0; inside the root (ScaleNorm: the lower limit of |x|)
  int64_t num_heads = 1;  // H, divides D (Eq. 7)
  Sigma sigma = Sigma::kTanh;
  double dot_scale = 1.0;  // factor on x.beta; Appendix D.2 divides by the dimension
  double dropout = 0.0;    // in [0, 1), on the dynamic coefficient u alpha, elementwise, in training
  Form gamma = Form::kVector;
  Form alpha = Form::kVector;
  Form beta = Form::kVector;
};

// The parameters that a norm can have. Equation numbers are the paper's.
enum class Param : int32_t {
  kGamma = 0,  // gain
  kAlpha,      // SeeDNorm: dynamic gain (Eq. 4); DyT, Derf: slope, [1]
  kBeta,       // SeeDNorm: direction of the dot product; LayerNorm, DyT, Derf: offset
  kShift,      // Derf: s, [1]
  kGammaC,     // AdaSeeDNorm: gamma(c), one row per sample (Eq. 8)
  kEtaC,       // AdaSeeDNorm: eta(c), one row per sample (Eq. 8)
};
constexpr int kNumParams = 6;
const char* name_of(Param param);  // "gamma", "alpha", "beta", "shift", "gamma_c", "eta_c"
const char* name_of(Sigma sigma);
const char* name_of(Form form);

// The form that the options give a parameter.
constexpr Form form_of(const Options& options, Param param) {
  switch (param) {
    case Param::kGamma:
      return options.gamma;
    case Param::kAlpha:
      return options.alpha;
    case Param::kBeta:
      return options.beta;
    default:
      return Form::kVector;
  }
}

// Shape of a parameter.
enum class ParamKind : int32_t {
  kAbsent = 0,
  kVector,     // [D]
  kScalar,     // [1]
  kPerSample,  // [samples, D], rows may be strided
};
constexpr int kNumParamKinds = 4;

template <class V>
struct ParamSet {
  V gamma{}, alpha{}, beta{}, shift{}, gamma_c{}, eta_c{};
  V& operator[](Param p) { return const_cast<V&>(std::as_const(*this)[p]); }
  const V& operator[](Param p) const {
    const V* const all[kNumParams] = {&gamma, &alpha, &beta, &shift, &gamma_c, &eta_c};
    return *all[static_cast<int>(p)];
  }
};

}  // namespace seednorm

#endif  // SEEDNORM_OPTIONS_H_

#include "lab/language/analyze/plan.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "lab/base/median.h"

namespace seednorm::lab {
namespace {

constexpr double kSaturated = 0.95;  // of the half range of the activation
constexpr double kDeviations = 2;    // standard deviations of z that must not be saturated

using Norms = std::vector<const MeasuredNorm*>;

bool is_enough(const HeadSums* sums, double point) {
  return sums != nullptr && kDeviations * sums->rms_z() <= point;
}

std::optional<int64_t> heads_for(const Norms& norms) {
  const std::optional<double> point = saturation_point(norms[0]->spec.options.sigma);
  if (!point) return std::nullopt;
  for (const HeadSums& candidate : norms[0]->by_heads) {
    const int64_t heads = candidate.heads;
    if (std::all_of(norms.begin(), norms.end(), [&](auto* n) { return is_enough(n->with(heads), *point); }))
      return heads;
  }
  return std::nullopt;
}

// The sums of all norms, each with the heads that `heads` gives for it.
template <class Heads>
HeadSums total(const Norms& norms, const Heads& heads) {
  HeadSums out;
  for (const MeasuredNorm* norm : norms) {
    const HeadSums& sums = *norm->with(heads(*norm));
    out.heads = sums.heads;
    out.count += sums.count;
    out.num_saturated += sums.num_saturated;
    out.z_squares += sums.z_squares;
    out.u_squares += sums.u_squares;
  }
  return out;
}

// The median over the norms of a number that may be infinite or NaN; nothing if it is.
template <class Number>
std::optional<double> median_over(const Norms& norms, const Number& number) {
  std::vector<double> values;
  for (const MeasuredNorm* norm : norms) values.push_back(number(*norm));
  if (!std::all_of(values.begin(), values.end(), [](double v) { return std::isfinite(v); }))
    return std::nullopt;
  return median(std::move(values));
}

SitePlan plan_site(const std::string& site, const NormSpec& spec, const Norms& norms, double share) {
  SitePlan out = {.site = site, .spec = spec, .num_norms = static_cast<int64_t>(norms.size())};
  if (norms.empty()) return out;
  const auto own = [](const MeasuredNorm& n) { return n.spec.options.num_heads; };
  out.now = total(norms, own);
  out.dynamic_share = median_over(norms, [&](const MeasuredNorm& n) {
                        return n.rms_alpha * n.with(own(n))->rms_u() / n.rms_gamma;
                      }).value_or(NAN);
  out.heads = heads_for(norms);
  if (!out.heads) return out;
  const auto planned = [&](const MeasuredNorm&) { return *out.heads; };
  out.planned = total(norms, planned);
  out.theorem_rms_z = total(norms, [](const MeasuredNorm&) { return 1; }).rms_z() /
                      std::sqrt(static_cast<double>(*out.heads));
  if (spec.options.alpha == Form::kNone) return out;
  const auto alpha = median_over(
      norms, [&](const MeasuredNorm& n) { return share * n.rms_gamma / n.with(*out.heads)->rms_u(); });
  if (alpha && *alpha > 0) out.alpha = alpha;
  return out;
}

}  // namespace

std::optional<double> saturation_point(Sigma sigma) {
  switch (sigma) {
    case Sigma::kTanh:
      return std::atanh(kSaturated);
    case Sigma::kSigmoid:  // (1 + tanh(z / 2)) / 2
      return 2 * std::atanh(kSaturated);
    case Sigma::kHardtanh:
      return kSaturated;
    case Sigma::kSoftsign:  // z / (1 + |z|)
      return kSaturated / (1 - kSaturated);
    case Sigma::kGelu:
    case Sigma::kSilu:
    case Sigma::kIdentity:
      return std::nullopt;
  }
  return std::nullopt;
}

double HeadSums::rms_z() const { return std::sqrt(z_squares / static_cast<double>(count)); }
double HeadSums::rms_u() const { return std::sqrt(u_squares / static_cast<double>(count)); }
double HeadSums::saturated() const { return static_cast<double>(num_saturated) / static_cast<double>(count); }

const HeadSums* MeasuredNorm::with(int64_t heads) const {
  const auto found =
      std::find_if(by_heads.begin(), by_heads.end(), [&](const HeadSums& s) { return s.heads == heads; });
  return found == by_heads.end() ? nullptr : &*found;
}

bool MeasuredNorm::is_off() const { return by_heads.back().z_squares == 0; }

void add_sums(std::vector<MeasuredNorm>& to, const std::vector<MeasuredNorm>& more) {
  if (to.empty()) {
    to = more;
    return;
  }
  for (size_t n = 0; n < to.size(); ++n) {
    for (size_t h = 0; h < to[n].by_heads.size(); ++h) {
      HeadSums& sums = to[n].by_heads[h];
      const HeadSums& others = more[n].by_heads[h];
      sums.count += others.count;
      sums.num_saturated += others.num_saturated;
      sums.z_squares += others.z_squares;
      sums.u_squares += others.u_squares;
    }
  }
}

NormSpec SitePlan::proposal() const {
  NormSpec out = spec;
  out.options.num_heads = heads.value();
  if (alpha) {
    char digits[32];
    std::snprintf(digits, sizeof digits, "%.2g", *alpha);
    out.alpha_init = std::strtod(digits, nullptr);
  }
  return out;
}

std::vector<SitePlan> plan(const std::vector<MeasuredNorm>& norms, double share) {
  std::vector<SitePlan> out;
  std::vector<std::string> done;
  for (const MeasuredNorm& first : norms) {
    if (std::find(done.begin(), done.end(), first.site) != done.end()) continue;
    done.push_back(first.site);
    Norms of_site;
    for (const MeasuredNorm& norm : norms) {
      if (norm.site == first.site && !norm.is_off()) of_site.push_back(&norm);
    }
    out.push_back(plan_site(first.site, first.spec, of_site, share));
  }
  return out;
}

}  // namespace seednorm::lab

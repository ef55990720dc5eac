#include "lab/nn/norm_sites.h"

#include <algorithm>
#include <stdexcept>

#include "lab/base/error.h"
#include "lab/base/suggest.h"

namespace seednorm::lab {
namespace {

const NormSites::Entry& find(const std::vector<NormSites::Entry>& entries, std::string_view site) {
  std::vector<std::string> names;
  for (const NormSites::Entry& e : entries) {
    if (e.site.name == site) return e;
    names.push_back(e.site.name);
  }
  throw std::invalid_argument("norm: no site " + quote(site) + did_you_mean(site, names));
}

}  // namespace

NormSites::NormSites(const std::vector<NormSite>& sites) { declare(sites); }

NormSpec& NormSites::operator[](std::string_view site) {
  return const_cast<Entry&>(find(entries_, site)).spec;
}

const NormSpec& NormSites::operator[](std::string_view site) const { return find(entries_, site).spec; }

void NormSites::declare(const std::vector<NormSite>& sites, const NormSpec& at_first) {
  std::vector<Entry> declared;
  for (const NormSite& site : sites) {
    const auto old = std::find_if(entries_.begin(), entries_.end(),
                                  [&](const Entry& e) { return e.site.name == site.name; });
    declared.push_back({site, old == entries_.end() ? at_first : old->spec});
  }
  entries_ = std::move(declared);
}

void NormSites::set_all(const NormSpec& spec) {
  for (Entry& e : entries_) e.spec = spec;
}

void NormSites::set_eps(double eps) {
  for (Entry& e : entries_) e.spec = e.spec.with_eps(eps);
}

std::string to_text(const NormSites& norms) {
  std::string out;
  for (const auto& [site, spec] : norms) out += (out.empty() ? "" : ", ") + site.name + " " + spec.text();
  return out;
}

}  // namespace seednorm::lab

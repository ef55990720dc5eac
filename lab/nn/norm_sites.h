// The sites of a model at which the norm can be chosen, and the norm of each site. Without libtorch.
#ifndef SEEDNORM_LAB_NN_NORM_SITES_H_
#define SEEDNORM_LAB_NN_NORM_SITES_H_

#include <string>
#include <string_view>
#include <vector>

#include "lab/nn/norm_spec.h"

namespace seednorm::lab {

struct NormSite {
  std::string name;  // as in the setting norm.NAME
  std::string help;  // for the list of settings
};

// Each model family declares its sites, which settings, model directories and conversion use.
class NormSites {
 public:
  struct Entry {
    NormSite site;
    NormSpec spec;
  };

  // RMSNorm at each site.
  explicit NormSites(const std::vector<NormSite>& sites);

  // Errors (std::invalid_argument): the family has no such site; the message names the nearest one.
  NormSpec& operator[](std::string_view site);
  const NormSpec& operator[](std::string_view site) const;

  // Changes to the sites of another family. Sites that both have keep their norms; new ones get `at_first`.
  void declare(const std::vector<NormSite>& sites, const NormSpec& at_first = {});
  void set_all(const NormSpec& spec);
  // Sets the eps of every norm to which settings have not given one.
  void set_eps(double eps);

  std::vector<Entry>::iterator begin() { return entries_.begin(); }
  std::vector<Entry>::iterator end() { return entries_.end(); }
  std::vector<Entry>::const_iterator begin() const { return entries_.begin(); }
  std::vector<Entry>::const_iterator end() const { return entries_.end(); }

 private:
  std::vector<Entry> entries_;
};

// "block seed_norm, qk seed_norm, output rms_norm".
std::string to_text(const NormSites& norms);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_NN_NORM_SITES_H_

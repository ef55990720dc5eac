// A model with other norms.
#ifndef SEEDNORM_LAB_LANGUAGE_INTEROP_CONVERT_H_
#define SEEDNORM_LAB_LANGUAGE_INTEROP_CONVERT_H_

#include <cstdint>
#include <filesystem>

#include "lab/nn/norm_sites.h"

namespace seednorm::lab {

struct Conversion {
  int64_t num_replaced = 0;
  bool lossless = true;  // the new model computes what the old one did, bit for bit, until it is trained
};

// Writes the model of folder `in` with the norms `to` as the new folder `out`, which appears complete or not
// at all, with the tokenizer's files. Weights keep their dtype. Norms keep the parameters that mean the same
// in both; others get their initial values: with SeeDNorm's beta = 0, RMSNorm to SeeDNorm is lossless (Eq.
// 4). Errors (UserError): as load_model; `out` exists; a norm does not fit the model.
Conversion convert(const std::filesystem::path& in, const std::filesystem::path& out, const NormSites& to);
// The same with one norm at every site.
Conversion convert(const std::filesystem::path& in, const std::filesystem::path& out,
                   const NormSpec& everywhere);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_INTEROP_CONVERT_H_

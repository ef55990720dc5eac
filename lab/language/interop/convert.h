// Replaces the norms of a model.
#ifndef SEEDNORM_LAB_LANGUAGE_INTEROP_CONVERT_H_
#define SEEDNORM_LAB_LANGUAGE_INTEROP_CONVERT_H_

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "lab/language/models/model.h"
#include "lab/nn/norm_sites.h"

namespace seednorm::lab {

struct Conversion {
  int64_t num_replaced = 0;
  bool lossless = true;  // until it is trained, the new model's outputs equal the old one's bit for bit
  std::string loss;      // of the first norm with which outputs change: "NAME: OLD does not become NEW: why"
};

// The model `to`, which differs from that of `from` in its norms, and perhaps its context, alone. Norms keep
// the parameters that mean the same in both, and others get their initial values; all other weights share the
// memory of `from`. Errors (std::invalid_argument): a norm does not fit the model.
std::unique_ptr<Model> with_norms(const Model& from, const ModelConfig& to, Conversion* conversion = nullptr);

// Writes the model of folder `in` with the norms `to`, and the tokenizer's files, to the new folder `out`,
// which appears either complete or not at all. Weights keep their dtype, and norms become those of
// with_norms. Since SeeDNorm's beta starts at 0, the conversion from RMSNorm to SeeDNorm is lossless (Eq. 4).
// Errors (UserError): those of load_model; `out` exists; a norm does not fit the model.
Conversion convert(const std::filesystem::path& in, const std::filesystem::path& out, const NormSites& to);
// The same with one norm at every site.
Conversion convert(const std::filesystem::path& in, const std::filesystem::path& out,
                   const NormSpec& everywhere);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_INTEROP_CONVERT_H_

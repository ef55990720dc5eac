// Model directories of pictures with other norms, and as other libraries have them.
#ifndef SEEDNORM_LAB_VISION_INTEROP_CONVERT_PICTURES_H_
#define SEEDNORM_LAB_VISION_INTEROP_CONVERT_PICTURES_H_

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "lab/nn/norm_sites.h"

namespace seednorm::lab {

enum class PictureModel { kNone, kClassifier, kMae, kDit };
// By the folder's config.json; kNone is another kind of model, or no such file. Errors (UserError): it is no
// JSON.
PictureModel picture_model_of(const std::filesystem::path& folder);

struct PictureConversion {
  // Whose files are written: those of "timm" or "transformers" for classifiers, "transformers" for masked
  // autoencoders, "dit" or "diffusers" for DiTs. Empty: what checkpoints are, the first of these.
  std::string layout;
  // Changes the norms of the model's sites; may be empty. Errors (std::invalid_argument).
  std::function<void(NormSites&)> change_norms;
  bool average = false;  // takes the averaged weights of a checkpoint
};

// Writes the model of folder `in` to the new folder `out`, which appears either complete or not at all, and
// returns how many norms were replaced. Outputs stay the same, bit for bit. Errors (UserError): `in` cannot
// be read; `out` exists; another library has no such model, or another norm would not begin with the same
// outputs, with the reason.
int64_t convert_pictures(const std::filesystem::path& in, const std::filesystem::path& out,
                         const PictureConversion& conversion);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_INTEROP_CONVERT_PICTURES_H_

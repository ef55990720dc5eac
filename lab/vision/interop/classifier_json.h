// config.json of classifiers, whichever library wrote it. Without libtorch, so that it can be tested and
// fuzzed alone.
#ifndef SEEDNORM_LAB_VISION_INTEROP_CLASSIFIER_JSON_H_
#define SEEDNORM_LAB_VISION_INTEROP_CLASSIFIER_JSON_H_

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "lab/vision/interop/preprocessing.h"
#include "lab/vision/models/config.h"

namespace seednorm::lab {

struct ImageModelFile {
  ImageModelConfig config;
  ImagePreprocessing preprocessing;
  bool is_transformers = false;  // and not timm's: the names of the weights follow from it
};

// Whether a config.json is of a classifier, as timm or transformers writes it.
bool is_classifier_json(const nlohmann::json& config);

// A text and the name of its file, for errors.
struct NamedText {
  std::string_view text;
  std::string file;
};
// From config.json and, of transformers, preprocessor_config.json, whose text is empty if there is no such
// file. Errors (UserError, "FILE: field: what is wrong"): not JSON, an architecture other than ViT and
// ConvNeXt, an argument that these models do not have, a value out of range.
ImageModelFile parse_classifier(const NamedText& config, const NamedText& processor);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_INTEROP_CLASSIFIER_JSON_H_

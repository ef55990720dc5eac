#include "lab/vision/interop/classifier_json.h"

#include "lab/vision/interop/config_fields.h"
#include "lab/vision/interop/timm_json.h"
#include "lab/vision/interop/transformers_json.h"

namespace seednorm::lab {

bool is_classifier_json(const nlohmann::json& config) {
  return is_transformers_json(config) || is_timm_json(config);
}

ImageModelFile parse_classifier(const NamedText& config, const NamedText& processor) {
  return read_config(config.text, config.file, [&](const JsonField& root) {
    ImageModelFile out;
    out.is_transformers = is_transformers_json(root.object());
    if (out.is_transformers) {
      out.config = parse_transformers(root);
      out.preprocessing = read_config(
          processor.text.empty() ? "{}" : processor.text, processor.file,
          [&](const JsonField& fields) { return parse_transformers_processor(fields, out.config); });
    } else if (is_timm_json(root.object())) {
      out.config = parse_timm(root);
      out.preprocessing = parse_timm_preprocessing(root);
    } else {
      root.fail(
          "expected timm's \"architecture\", or transformers' \"model_type\" of vit or convnext; this is no "
          "classifier");
    }
    out.config.check();
    return out;
  });
}

}  // namespace seednorm::lab

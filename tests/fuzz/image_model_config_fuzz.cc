// Any bytes are the config.json of a model of pictures or an error in one line; what is written of a model
// that was read says the same when it is read again. The same bytes serve as preprocessor_config.json.
#include "lab/vision/interop/dit_json.h"
#include "lab/vision/interop/mae_json.h"
#include "lab/vision/interop/timm_json.h"
#include "lab/vision/interop/transformers_json.h"
#include "tests/fuzz/fuzz.h"

namespace seednorm::lab {
namespace {

using Json = nlohmann::json;

ImageModelFile classifier(const Json& config, const Json& processor) {
  return parse_classifier({config.dump(), "written"}, {processor.dump(), "written processor"});
}

void read_classifier(std::string_view text) {
  const ImageModelFile file = parse_classifier({text, "file"}, {text, "processor"});
  const Json written = image_model_json(file.config, file.preprocessing);
  const ImageModelFile again = classifier(written, Json());
  require(image_model_json(again.config, again.preprocessing) == written);

  const Json of_transformers = transformers_json(file.config);
  const Json processor = transformers_processor_json(file.config, file.preprocessing);
  const ImageModelFile back = classifier(of_transformers, processor);
  require(transformers_json(back.config) == of_transformers);
  require(transformers_processor_json(back.config, back.preprocessing) == processor);
}

void read_mae(std::string_view text) {
  const Json written = mae_json(parse_mae(text, "file"));
  require(mae_json(parse_mae(written.dump(), "written")) == written);
}

void read_dit(std::string_view text) {
  const DitFile file = parse_dit(text, "file");
  const Json written = dit_json(file);
  require(dit_json(parse_dit(written.dump(), "written")) == written);

  const Json of_diffusers = diffusers_json(file);
  require(diffusers_json(parse_dit(of_diffusers.dump(), "written")) == of_diffusers);
}

}  // namespace
}  // namespace seednorm::lab

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace seednorm::lab;
  for (const auto read : {read_classifier, read_mae, read_dit}) {
    or_one_line([&] { read(bytes_of(data, size)); });
  }
  return 0;
}

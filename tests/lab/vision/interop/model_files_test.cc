// The config.json of models of pictures: what is read, written again and refused.
#include <gtest/gtest.h>

#include "lab/vision/interop/config_fields.h"
#include "lab/vision/interop/dit_json.h"
#include "lab/vision/interop/mae_json.h"
#include "lab/vision/interop/timm_json.h"
#include "lab/vision/interop/transformers_json.h"
#include "lab/vision/models/config_checks.h"
#include "tests/lab/support.h"

namespace seednorm::lab {
namespace {

using Json = nlohmann::json;

ImageModelFile classifier(const Json& config, const Json& processor = Json::object()) {
  return parse_classifier({config.dump(), "config.json"}, {processor.dump(), "preprocessor_config.json"});
}

// What is said of a file whose members were changed.
std::string of_classifier(Json config, const Json& changes, const Json& processor = Json::object()) {
  config.update(changes, /*merge_objects=*/true);
  return user_error([&] { classifier(config, processor); });
}
std::string of_mae(const Json& changes) {
  Json config = mae_json({});
  config.update(changes, /*merge_objects=*/true);
  return user_error([&] { parse_mae(config.dump(), "config.json"); });
}
std::string of_dit(Json config, const Json& changes) {
  config.update(changes, /*merge_objects=*/true);
  return user_error([&] { parse_dit(config.dump(), "config.json"); });
}

Json timm_vit() {
  ImageModelConfig c;
  c.num_classes = 10;
  return image_model_json(c, {});
}
Json timm_convnext() {
  ImageModelConfig c;
  c.set_family(ImageFamily::k_convnext);
  c.patch_size = 4;
  c.num_classes = 10;
  return image_model_json(c, {});
}
Json diffusers_dit() {
  DitFile file;
  file.config.time_divisor = 127;
  return diffusers_json(file);
}

TEST(ModelFiles, HiddenWidthsComeBack) {
  ImageModelConfig c;
  c.num_classes = 10;
  c.num_heads = 1;
  // For some of these floor(dim * (ffn_dim / dim)) is ffn_dim - 1 in double.
  for (c.dim = 1; c.dim < 200; ++c.dim) {
    for (c.ffn_dim = 1; c.ffn_dim < 300; c.ffn_dim += 7) {
      ASSERT_EQ(classifier(image_model_json(c, {})).config.ffn_dim, c.ffn_dim) << c.dim;
    }
  }
}

TEST(ModelFiles, ShortSidesComeBack) {
  const Json config = {{"model_type", "vit"}, {"image_size", 224}};
  for (int64_t side = 224; side < 2000; ++side) {
    const Json processor = {{"do_center_crop", true}, {"size", {{"shortest_edge", side}}}};
    const ImageModelFile file = classifier(config, processor);
    ASSERT_EQ(transformers_processor_json(file.config, file.preprocessing)["size"]["shortest_edge"], side);
  }
}

TEST(ModelFiles, NormsComeBack) {
  MaeConfig c;
  c.norms["encoder"] = NormSpec::parse("seed_norm(dot_scale=5, dot_scale=1/D, num_heads=4)");
  EXPECT_EQ(c.norms["encoder"].layer(64).options().dot_scale,
            NormSpec::parse(c.norms["encoder"].text()).layer(64).options().dot_scale);
  EXPECT_EQ(parse_mae(mae_json(c).dump(), "config.json").norms["encoder"].text(), c.norms["encoder"].text());
}

TEST(ModelFiles, ManyClassesAreNoLongFile) {
  ImageModelConfig c;
  c.pool = Pooling::kToken;
  c.num_classes = checks::kMaxClasses;
  const Json written = transformers_json(c);
  EXPECT_LT(written.dump().size(), size_t{4096});
  EXPECT_EQ(classifier(written).config.num_classes, c.num_classes);
}

TEST(ModelFiles, ClassifiersThatAreRefused) {
  EXPECT_EQ(user_error([] { classifier(Json::array()); }), "config.json: expected an object, got array");
  EXPECT_EQ(
      user_error([] {
        classifier({{"model_type", "bert"}});
      }),
      "config.json: expected timm's \"architecture\", or transformers' \"model_type\" of vit or convnext; "
      "this is no classifier");
  EXPECT_EQ(of_classifier(timm_vit(), {{"architecture", 5}}),
            "config.json: architecture: expected a string, got 5");
  EXPECT_EQ(
      of_classifier(timm_vit(), {{"model_args", {{"mlp_ratio", 1e300}}}}),
      "config.json: model_args.mlp_ratio: expected a hidden width, embed_dim times it, from 1 to 1048576");
  EXPECT_EQ(
      of_classifier(timm_vit(), {{"model_args", {{"mlp_ratio", 0}}}}),
      "config.json: model_args.mlp_ratio: expected a hidden width, embed_dim times it, from 1 to 1048576");
  EXPECT_EQ(of_classifier(timm_vit(), {{"model_args", {{"depth", -1}}}}),
            "config.json: model_args.depth: expected a whole number from 1 to 4096, got -1");
  EXPECT_EQ(of_classifier(timm_vit(), {{"model_args", {{"num_heads", true}}}}),
            "config.json: model_args.num_heads: expected a whole number from 1 to 1048576, got true");
  EXPECT_EQ(of_classifier(timm_vit(), {{"model_args", {{"num_heads", 5}}}}),
            "config.json: num_heads: expected a divisor of the width 768, got 5");
  EXPECT_EQ(of_classifier(timm_vit(), {{"model_args", {{"a\nb", "c\nd"}}}}),
            "config.json: model_args: no argument \"a\\x0ab\" of value \"c\\nd\" is known for this model");
  EXPECT_EQ(
      of_classifier(timm_vit(), {{"pretrained_cfg", {{"input_size", {3, 224, 200}}}}}),
      "config.json: pretrained_cfg.input_size: expected [3, N, N], of square pictures with three channels");
  EXPECT_EQ(of_classifier(timm_vit(), {{"pretrained_cfg", {{"crop_pct", 1e-300}}}}),
            "config.json: pretrained_cfg.crop_pct: expected a number from 0.01 to 1");
  EXPECT_EQ(of_classifier(timm_vit(), {{"pretrained_cfg", {{"std", {0.5, 0, 0.5}}}}}),
            "config.json: pretrained_cfg.std[1]: expected a number from 1e-06 to 1000000.0");
  EXPECT_EQ(of_classifier(timm_vit(), {{"pretrained_cfg", {{"mean", {0.5}}}}}),
            "config.json: pretrained_cfg.mean: expected three numbers, one for each channel");
  EXPECT_EQ(of_classifier(timm_convnext(), {{"model_args", {{"depths", std::vector<int>(1000000, 1)}}}}),
            "config.json: model_args.depths: expected at most 64 numbers, got 1000000");
  EXPECT_EQ(
      of_classifier(timm_convnext(), {{"model_args", {{"depths", {1, 2}}}}}),
      "config.json: stage_layers, stage_dims: expected as many stages in both, got 1,2 and 128,256,512,1024");
  EXPECT_EQ(of_classifier(timm_vit(), {{"seednorm", {{"norms", {{"block", "seed\nnorm"}}}}}}).find('\n'),
            std::string::npos);
  EXPECT_EQ(of_classifier(timm_vit(), {{"seednorm", {{"norms", {{"bl\nock", 5}}}}}}),
            "config.json: seednorm.norms.\"bl\\x0aock\": expected a string, got 5");
}

TEST(ModelFiles, ClassifiersOfTransformersThatAreRefused) {
  const Json vit = {{"model_type", "vit"}};
  EXPECT_EQ(of_classifier(vit, {{"hidden_act", "relu"}}),
            "config.json: hidden_act: expected \"gelu\", got \"relu\"");
  EXPECT_EQ(of_classifier(vit, {{"id2label", Json::object()}}),
            "config.json: id2label: expected one label or more");
  EXPECT_EQ(of_classifier(vit, {{"hidden_size", int64_t{1} << 60}}),
            "config.json: hidden_size: expected a whole number from 1 to 1048576, got 1152921504606846976");
  EXPECT_EQ(of_classifier(vit, {{"layer_norm_eps", 0}}),
            "config.json: norm_eps: expected more than 0, at most 1, got 0");
  EXPECT_EQ(of_classifier(vit, Json::object(), {{"image_mean", {0, 0, 1e300}}}),
            "preprocessor_config.json: image_mean[2]: expected a number from -1000000.0 to 1000000.0");
  EXPECT_EQ(
      of_classifier(vit, Json::object(), {{"do_center_crop", true}, {"size", {{"shortest_edge", 1 << 30}}}}),
      "preprocessor_config.json: size.shortest_edge: expected a whole number from 1 to 22400, got "
      "1073741824");
}

TEST(ModelFiles, AutoencodersThatAreRefused) {
  EXPECT_EQ(of_mae({{"model_type", "vit"}}), "config.json: model_type: expected \"vit_mae\", got \"vit\"");
  EXPECT_EQ(of_mae({{"decoder_num_hidden_layers", 0}}),
            "config.json: decoder_num_hidden_layers: expected a whole number from 1 to 4096, got 0");
  EXPECT_EQ(of_mae({{"mask_ratio", 1}}), "config.json: mask_ratio: expected a number between 0 and 1, got 1");
  EXPECT_EQ(of_mae({{"seednorm", {{"norms", {{"encodr", "rms_norm"}}}}}}),
            "config.json: seednorm.norms.encodr: norm: no site \"encodr\" (did you mean encoder?)");
}

TEST(ModelFiles, DitsThatAreRefused) {
  const Json ours = dit_json({});
  EXPECT_EQ(of_dit(ours, {{"model_type", "vit"}}),
            "config.json: expected \"model_type\": \"dit\", or diffusers' DiTTransformer2DModel");
  EXPECT_EQ(of_dit(ours, {{"diffusion_steps", 1}}),
            "config.json: diffusion_steps: expected a whole number from 21 to 1000000, got 1");
  EXPECT_EQ(of_dit(ours, {{"num_classes", 0}}),
            "config.json: num_classes: expected a whole number from 1 to 16777216, got 0");
  EXPECT_EQ(of_dit(ours, {{"dim", nullptr}}),
            "config.json: dim: expected a whole number from 1 to 1048576, got null");
  EXPECT_EQ(of_dit(diffusers_dit(), {{"num_attention_heads", 1 << 20}, {"attention_head_dim", 1 << 20}}),
            "config.json: dim: expected 4 to 1048576, got 1099511627776");
  EXPECT_EQ(of_dit(diffusers_dit(), {{"norm_eps", 0}}),
            "config.json: norm_eps: expected more than 0, at most 1");
  EXPECT_EQ(of_dit(diffusers_dit(), {{"out_channels", nullptr}}),
            "config.json: out_channels: expected 8, got null");
}

}  // namespace
}  // namespace seednorm::lab

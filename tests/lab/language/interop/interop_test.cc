// Model directories: what is written is read back, and what is wrong with one is said in one line.
#include <ATen/Functions.h>
#include <gtest/gtest.h>

#include <fstream>

#include "lab/base/file.h"
#include "lab/language/interop/convert.h"
#include "lab/language/interop/hf_config.h"
#include "lab/language/interop/model_dir.h"
#include "tests/lab/language/small_model.h"
#include "tests/lab/support.h"

namespace seednorm::lab {
namespace {

using at::Tensor;
using nlohmann::json;

ModelConfig small(const std::string& family, const std::string& norm = "rms_norm") {
  ModelConfig c = small_model(family, norm);
  c.qk_norm_per_head = false;
  if (family == "olmoe") c.num_experts = 12;  // some have names of two digits
  return c;
}

Tensor tokens() { return at::arange(24).mul(7).add(3).remainder(50).view({2, 12}); }

Tensor logits(const std::filesystem::path& folder, Weights weights = Weights::kFloat32) {
  const at::NoGradGuard no_grad;
  return load_model(folder, weights)->logits(tokens());
}

// As the model has it: norms with their eps.
std::string text(const ModelConfig& config) { return hf_config(config, "float32").dump(); }

// Values that any exchange of two parameters would show.
void shake(Model& model) {
  const at::NoGradGuard no_grad;
  at::manual_seed(3);
  for (const ParamInfo& p : model.params()) p.tensor.add_(at::randn_like(p.tensor), 0.1);
}

std::vector<ModelConfig> every_kind() {
  std::vector<ModelConfig> out;
  for (const std::string& family : family_names()) {
    for (const std::string& norm : norm_names()) {
      if (!norm_info(norm).needs_condition()) out.push_back(small(family, norm));
    }
    out.push_back(small(family, "seed_norm(num_heads=4, sigma=softsign, alpha_init=0.1)"));
    out.push_back(small(family, "rms_norm(gate_rank=3)"));
    ModelConfig mixed = small(family);
    mixed.norms["block"] = NormSpec::parse("seed_norm(num_heads=2, dot_scale=1/d)");
    mixed.norms["qk"] = NormSpec::parse("layer_norm(eps=0.001)");
    mixed.qk_norm_per_head = true;
    mixed.norm_eps = 1e-5;
    mixed.rope_theta = 500000;
    mixed.tied = false;
    mixed.frac_rate = 4;
    mixed.embedding_scale = true;
    mixed.norm_topk_prob = true;
    out.push_back(mixed);
    for (const char* placement : {"pre", "post", "peri", "reordered"}) {
      out.push_back(small(family));
      out.back().norm_placement = placement_of(placement);
      out.back().norm_depth_scaling = out.size() % 2 == 0;
    }
  }
  return out;
}

TEST(ModelDir, SavedAndLoadedIsTheSameModel) {
  for (const ModelConfig& config : every_kind()) {
    SCOPED_TRACE(text(config));
    Model model(config, 1);
    shake(model);
    const TestFolder folder;
    save_model(model, folder / "m");
    for (const Weights weights : {Weights::kFloat32, Weights::kStored}) {
      const auto loaded = load_model(folder / "m", weights);
      EXPECT_EQ(text(loaded->config()), text(model.config()));
      const auto a = model.params(), b = loaded->params();
      ASSERT_EQ(a.size(), b.size());
      for (size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(at::equal(a[i].tensor, b[i].tensor)) << a[i].name;
      const at::NoGradGuard no_grad;
      EXPECT_TRUE(at::equal(loaded->logits(tokens()), model.logits(tokens())));
      EXPECT_EQ(loaded->params()[0].tensor.requires_grad(), weights == Weights::kFloat32);
    }
  }
}

// A model of transformers has its norms where the family has them.
TEST(ModelDir, OtherPlacementsAreNotHuggingFaces) {
  for (const std::string& family : family_names()) {
    ModelConfig config = small(family);
    const std::string plain = text(config);
    EXPECT_TRUE(is_hugging_face(config));
    config.norm_placement = own_placement(config.family);
    EXPECT_EQ(text(config), plain);
    config.norm_depth_scaling = true;
    EXPECT_EQ(json::parse(text(config)).at("model_type"), "seednorm_" + family);
    config.norm_depth_scaling = false;
    config.norm_placement = NormPlacement::kPeri;
    const json other = json::parse(text(config));
    EXPECT_EQ(other.at("model_type"), "seednorm_" + family);
    EXPECT_EQ(other.at("seednorm").at("norm_placement"), "peri");
    json bad = other;
    bad["seednorm"]["norm_placement"] = "behind";
    EXPECT_EQ(user_error([&] { parse_hf_config(bad.dump(), "f"); }),
              "f: seednorm.norm_placement: expected one of pre, post, peri, reordered, got \"behind\"");
  }
}

TEST(ModelDir, StoredBFloat16IsNotCopied) {
  const TestFolder folder;
  for (const std::string& family : family_names()) {
    Model model(small(family, "seed_norm"), 1);
    shake(model);
    save_model(model, folder / family, at::kBFloat16);
    const auto loaded = load_model(folder / family, Weights::kStored);
    for (const ParamInfo& p : loaded->params()) {
      const bool large = p.role == Role::kMatrix || p.role == Role::kEmbedding;
      EXPECT_EQ(p.tensor.scalar_type(), large ? at::kBFloat16 : at::kFloat) << p.name;
      EXPECT_EQ(p.tensor.storage().resizable(), !large) << p.name;  // libtorch's own memory
    }
    const at::NoGradGuard no_grad;
    EXPECT_TRUE(at::equal(loaded->logits(tokens()), logits(folder / family)));
    loaded->set_dtype(at::kBFloat16);
    // A few percent, and now and then another expert.
    const Tensor exact = logits(folder / family), difference = loaded->logits(tokens()) - exact;
    EXPECT_LT(difference.norm().item<float>(), 0.1 * exact.norm().item<float>());
  }
}

TEST(ModelDir, WeightsOfAnExistingModel) {
  const TestFolder folder;
  Model a(small("olmoe", "seed_norm"), 1), b(small("olmoe", "seed_norm"), 2);
  save_model(a, folder / "a");
  load_weights(b, folder / "a");
  const at::NoGradGuard no_grad;
  EXPECT_TRUE(at::equal(a.logits(tokens()), b.logits(tokens())));
  Model other(small("olmoe", "rms_norm"), 2);
  EXPECT_NE(user_error([&] { load_weights(other, folder / "a"); }).find("tensors are not in"),
            std::string::npos);
}

TEST(ModelDir, NothingIsOverwritten) {
  const TestFolder folder;
  const Model model(small("olmo2"), 1);
  save_model(model, folder / "m");
  EXPECT_NE(user_error([&] { save_model(model, folder / "m"); }).find("already exists"), std::string::npos);
}

TEST(Safetensors, WrittenAndRead) {
  const TestFolder folder;
  const Tensor values = at::arange(6).view({2, 3});
  std::vector<TensorSource> sources;
  for (const at::ScalarType type :
       {at::kDouble, at::kFloat, at::kHalf, at::kBFloat16, at::kLong, at::kInt, at::kByte}) {
    sources.push_back(source_of(at::toString(type), values.to(type)));
  }
  sources.push_back(source_of("transposed", values.t()));
  sources.push_back(source_of("scalar", at::ones({}, at::kFloat)));
  sources.push_back(source_of("empty", at::ones({0, 3})));
  write_safetensors(folder / "t", sources);
  TensorMap read = read_safetensors(folder / "t");
  EXPECT_EQ(read.size(), sources.size());
  for (const TensorSource& source : sources) {
    EXPECT_TRUE(at::equal(read.at(source.name), source.make())) << source.name;
    EXPECT_EQ(read.at(source.name).scalar_type(), source.dtype);
  }
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}),
            1);  // nothing else is left
  EXPECT_THROW(write_safetensors(folder / "t", {sources[0], sources[0]}), std::invalid_argument);
  EXPECT_THROW(write_safetensors(folder / "t", {source_of("b", at::ones({1}, at::kBool))}),
               std::invalid_argument);
  EXPECT_TRUE(at::equal(read_safetensors(folder / "t").at("Float"), values.to(at::kFloat)));
}

TEST(Safetensors, ViewsOutliveTheMap) {
  const TestFolder folder;
  write_safetensors(folder / "t", {source_of("a", at::arange(5000)), source_of("b", at::arange(5000))});
  const Tensor a = read_safetensors(folder / "t").at("a");
  forget_pages(a);
  EXPECT_TRUE(at::equal(a, at::arange(5000)));
  const TensorMap both = read_safetensors(folder / "t");
  const Tensor stack = stacked_view({both.at("a"), both.at("b")});
  EXPECT_TRUE(at::equal(stack, at::stack({both.at("a"), both.at("b")})));
  EXPECT_EQ(stack.const_data_ptr(), both.at("a").const_data_ptr());
  EXPECT_FALSE(stacked_view({both.at("b"), both.at("a")}).defined());
}

TEST(Safetensors, UnalignedBytesAreCopied) {
  const TestFolder folder;
  const std::string header = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  ASSERT_NE(header.size() % 4, 0u);
  std::string file(1, static_cast<char>(header.size()));
  file += std::string(7, '\0') + header;
  const float values[] = {1.5F, -2};
  file.append(reinterpret_cast<const char*>(values), sizeof values);
  write(folder / "t", file);
  const Tensor a = read_safetensors(folder / "t").at("a");
  EXPECT_EQ(a[1].item<float>(), -2);
  forget_pages(a);
  EXPECT_EQ(a[0].item<float>(), 1.5F);
}

// A saved model, with its config.json or its tensors changed.
class Damaged : public testing::Test {
 protected:
  void SetUp() override {
    save_model(Model(small("olmoe"), 1), folder_ / "m");
    config_ = json::parse(read_file(folder_ / "m/config.json", 1 << 20));
    for (const auto& [name, tensor] : read_safetensors(folder_ / "m/model.safetensors")) {
      tensors_.push_back(source_of(name, tensor.clone()));
    }
  }
  std::string error() {
    return user_error([&] { load_model(folder_ / "m"); });
  }
  void expect(const std::vector<std::string>& parts) {
    const std::string message = error();
    for (const std::string& part : parts) EXPECT_NE(message.find(part), std::string::npos) << message;
  }
  void expect_config(const json& change, const std::vector<std::string>& parts) {
    json changed = config_;
    changed.update(change);
    write(folder_ / "m/config.json", changed.dump());
    expect(parts);
    write(folder_ / "m/config.json", config_.dump());
  }
  void without(const std::string& name, const std::optional<Tensor>& instead,
               const std::vector<std::string>& parts) {
    std::vector<TensorSource> changed;
    for (const TensorSource& t : tensors_) {
      if (t.name != name) changed.push_back(t);
    }
    if (instead) changed.push_back(source_of(name, *instead));
    write_safetensors(folder_ / "m/model.safetensors", changed);
    expect(parts);
  }

  // Without all tensors whose names begin so.
  void without_all(const std::string& prefix, const std::vector<std::string>& parts) {
    std::vector<TensorSource> changed;
    for (const TensorSource& t : tensors_) {
      // What is compared with config.json before anything else stays.
      if (!t.name.starts_with(prefix) || t.name.ends_with("o_proj.weight")) changed.push_back(t);
    }
    write_safetensors(folder_ / "m/model.safetensors", changed);
    expect(parts);
  }

  TestFolder folder_;
  json config_;
  std::vector<TensorSource> tensors_;
};

// What means the same as nothing is taken.
TEST_F(Damaged, SettingsThatChangeNothing) {
  for (const json& same :
       {json{{"rope_scaling", {{"rope_type", "default"}, {"factor", 1.0}}}},
        json{{"layer_types", {"full_attention", "full_attention"}}}, json{{"layer_types", json::array()}}}) {
    json config = config_;
    config.update(same);
    EXPECT_NO_THROW(parse_hf_config(config.dump(), "config.json")) << same;
  }
}

TEST_F(Damaged, Config) {
  expect_config({{"model_type", "llama"}},
                {"config.json: model_type: \"llama\" is not supported; olmo2, olmoe are"});
  expect_config({{"hidden_size", 0}}, {"config.json: hidden_size"});
  expect_config({{"hidden_size", 1e30}}, {"config.json: hidden_size"});
  expect_config({{"hidden_size", "32"}}, {"config.json: hidden_size"});
  expect_config({{"vocab_size", nullptr}}, {"config.json: vocab_size"});
  expect_config({{"num_attention_heads", 5}}, {"config.json: head"});
  expect_config({{"num_key_value_heads", 3}}, {"config.json: num_kv_heads"});
  expect_config({{"num_experts_per_tok", 13}}, {"config.json: top_k"});
  expect_config({{"rms_norm_eps", 0}}, {"config.json: norm_eps"});
  expect_config({{"head_dim", 16}}, {"config.json: head_dim"});
  expect_config({{"clip_qkv", 8.0}}, {"config.json: clip_qkv"});
  expect_config({{"attention_bias", true}}, {"config.json: attention_bias"});
  expect_config({{"attention_dropout", 0.1}}, {"config.json: attention_dropout"});
  expect_config({{"hidden_act", "gelu"}}, {"config.json: hidden_act"});
  expect_config({{"rope_scaling", {{"type", "linear"}, {"factor", 2.0}}}},
                {"config.json: rope_scaling.type", "linear"});
  expect_config({{"rope_scaling", {{"factor", 2.0}}}}, {"config.json: rope_scaling.factor"});
  expect_config({{"rope_parameters", {{"rope_type", "yarn"}}}},
                {"config.json: rope_parameters.rope_type", "yarn"});
  expect_config({{"partial_rotary_factor", 0.5}}, {"config.json: partial_rotary_factor"});
  expect_config({{"quantization_config", json::object()}}, {"config.json: quantization_config"});
  expect_config({{"max_position_embeddings", 1 << 30}}, {"config.json: max_position_embeddings"});
  // Sizes that no machine can hold.
  expect_config({{"hidden_size", 1 << 30}}, {"config.json: dim: expected 1 to"});
  expect_config({{"num_hidden_layers", 1 << 30}}, {"config.json: num_layers: expected 1 to"});
  // Sizes that the tensors do not have, before any memory is taken.
  expect_config({{"hidden_size", 1 << 18}}, {"embed_tokens"});
  expect_config({{"vocab_size", 1 << 26}}, {"embed_tokens"});
  expect_config({{"num_hidden_layers", 4000}}, {"model.layers.3999"});
  expect_config({{"num_experts", 1 << 15}}, {"mlp.gate.weight"});
  expect_config({{"intermediate_size", 1 << 18}}, {"gate_proj.weight"});
  expect_config({{"num_hidden_layers", 1}},
                {"tensors are not in config.json's model: \"model.layers.1", "..."});
  expect_config({{"hidden_size", int64_t{1} << 40}}, {"config.json: hidden_size"});
  expect_config({{"intermediate_size", 1e300}}, {"config.json: intermediate_size"});
  expect_config({{"layer_types", {"full_attention", "sliding_attention"}}}, {"config.json: layer_types[1]"});
}

TEST_F(Damaged, OwnObject) {
  const json own = {{"norm", {{"block", "rms_norm"}, {"qk", "rms_norm"}, {"output", "rms_norm"}}},
                    {"qk_norm", "all"},
                    {"frac_rate", 0},
                    {"embedding_scale", false}};
  const auto with = [&](const std::string& pointer, const json& value) {
    json out = own;
    out[json::json_pointer(pointer)] = value;
    return json{{"seednorm", out}};
  };
  expect_config(with("/norm/block", "sed_norm"), {"config.json: seednorm.norm.block", "sed_norm"});
  expect_config(with("/norm/qk", "seed_norm(heads=2)"), {"config.json: seednorm.norm.qk", "heads"});
  expect_config(with("/norm/output", 3), {"config.json: seednorm.norm.output: expected a string"});
  expect_config(with("/qk_norm", "both"), {"config.json: seednorm.qk_norm"});
  expect_config(with("/frac_rate", 5), {"config.json: frac_rate"});
  expect_config(with("/norm/block", "seed_norm(num_heads=5)"), {"config.json", "num_heads"});
  expect_config({{"model_type", "seednorm_olmoe"}}, {"config.json", "has no \"seednorm\""});
}

TEST_F(Damaged, ConfigText) {
  for (const std::string& text :
       {std::string("{"), std::string(), std::string("[]"), std::string(100000, '['),
        std::string("{\"a\":1,\"a\":2}"), std::string("\xff\xfe"), std::string("{\"vocab_size\": 1e999}")}) {
    write(folder_ / "m/config.json", text);
    expect({"config.json: "});
  }
  std::filesystem::remove(folder_ / "m/config.json");
  expect({"config.json: "});
}

TEST_F(Damaged, Tensors) {
  without("model.norm.weight", {}, {"tensor \"model.norm.weight\": is missing"});
  without("model.norm.weight", at::ones({31}), {"model.norm.weight", "[31]", "[32]"});
  without("model.norm.weight", at::ones({32}, at::kLong), {"model.norm.weight", "Long"});
  const std::string expert = "model.layers.1.mlp.experts.7.up_proj.weight";
  without(expert, {}, {expert, "is missing"});
  without(expert, at::ones({32, 24}), {expert, "[32, 24]"});
  without(expert, at::ones({24, 32}, at::kHalf), {expert, "dtype"});
  without("more", at::ones({1}), {"\"more\"", "no such tensor"});
  // The tensors of an expert that are gone are all told.
  without_all("model.layers.1.mlp.experts.7.",
              {"3 tensors are missing: ", "gate_proj", "up_proj", "down_proj"});
  without_all("model.layers.1.", {"tensors are missing: ", ", ..."});
  without("model.layers.0.mlp.experts.gate_up_proj", at::ones({2, 3, 4}),
          {"gate_up_proj", "save_pretrained"});
}

TEST_F(Damaged, TornFile) {
  const std::string path = folder_ / "m/model.safetensors";
  const auto size = std::filesystem::file_size(path);
  for (const uintmax_t kept : {size - 1, size / 2, uintmax_t{100}, uintmax_t{3}, uintmax_t{0}}) {
    std::filesystem::resize_file(path, kept);
    expect({"model.safetensors: "});
  }
  std::filesystem::remove(path);
  expect({"neither model.safetensors nor"});
}

TEST_F(Damaged, Index) {
  std::filesystem::remove(folder_ / "m/model.safetensors");
  const size_t half = tensors_.size() / 2;
  write_safetensors(folder_ / "m/1.safetensors", {tensors_.begin(), tensors_.begin() + half});
  write_safetensors(folder_ / "m/2.safetensors", {tensors_.begin() + half, tensors_.end()});
  json map;
  for (size_t i = 0; i < tensors_.size(); ++i)
    map[tensors_[i].name] = i < half ? "1.safetensors" : "2.safetensors";
  const auto write_index = [&](const json& index) {
    write(folder_ / "m/model.safetensors.index.json", index.dump());
  };
  write_index({{"weight_map", map}});
  EXPECT_NO_THROW(load_model(folder_ / "m"));
  const std::string name = tensors_[0].name;
  for (const json& file : {json("../1.safetensors"), json("/etc/passwd"), json(".."), json(""), json(1)}) {
    json changed = map;
    changed[name] = file;
    write_index({{"weight_map", changed}});
    expect({"index.json: weight_map." + name});
  }
  json changed = map;
  changed[name] = "2.safetensors";
  write_index({{"weight_map", changed}});
  expect({name, "the index"});
  changed = map;
  changed.erase(name);
  write_index({{"weight_map", changed}});
  expect({name, "does not put there"});
  write_index({{"weight_map", 3}});
  expect({"weight_map: expected an object"});
  std::filesystem::remove(folder_ / "m/2.safetensors");
  write_index({{"weight_map", map}});
  expect({"2.safetensors: cannot be read"});
}

TEST(Convert, RmsNormToSeeDNormIsLossless) {
  for (const std::string& family : family_names()) {
    for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
      const TestFolder folder;
      ModelConfig config = small(family);
      config.norm_eps = 1e-5;
      Model model(config, 1);
      shake(model);
      save_model(model, folder / "in", dtype, {{"eos_token_id", 4}});
      write(folder / "in/tokenizer.json", "{}");
      const NormSpec to = NormSpec::parse("seed_norm(num_heads=4, alpha_init=0.3)");
      const Conversion done = convert(folder / "in", folder / "out", to);
      EXPECT_TRUE(done.lossless);
      EXPECT_EQ(done.num_replaced, 9);
      EXPECT_TRUE(at::equal(logits(folder / "in"), logits(folder / "out")));
      const TensorMap out = read_model_tensors(folder / "out");
      EXPECT_EQ(out.at("model.norm.beta").scalar_type(), dtype);
      EXPECT_EQ(out.at("model.norm.beta").abs().max().item<float>(), 0);
      EXPECT_TRUE(std::filesystem::exists(folder / "out/tokenizer.json"));
      EXPECT_EQ(json::parse(read_file(folder / "out/config.json", 1 << 20))["eos_token_id"], 4);
      EXPECT_NE(user_error([&] { convert(folder / "in", folder / "out", to); }).find("already exists"),
                std::string::npos);
    }
  }
}

TEST(Convert, SaysWhatIsNotLossless) {
  const TestFolder folder;
  save_model(Model(small("olmo2"), 1), folder / "in");
  int count = 0;
  for (const std::string norm : {"seed_norm(sigma=sigmoid)", "seed_norm(eps=0.001)", "seed_norm(gamma=none)",
                                 "layer_norm", "dyt", "scale_norm", "rms_norm(gamma=plus_one)"}) {
    const std::string out = folder / std::to_string(count++);
    EXPECT_FALSE(convert(folder / "in", out, NormSpec::parse(norm)).lossless) << norm;
    EXPECT_NO_THROW(load_model(out)) << norm;
  }
  NormSites sites = read_hf_config(folder / "in").norms;
  sites["block"] = NormSpec::parse("seed_norm");
  const Conversion some = convert(folder / "in", folder / "some", sites);
  EXPECT_TRUE(some.lossless);
  EXPECT_EQ(some.num_replaced, 4);
  EXPECT_NE(user_error([&] {
              convert(folder / "in", folder / "x", NormSpec::parse("seed_norm(num_heads=5)"));
            }).find("num_heads"),
            std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(folder / "x"));
}

TEST(Convert, KeepsAGateAndMakesNone) {
  const TestFolder folder;
  Model gated(small("olmo2", "rms_norm(gate_rank=3)"), 1);
  shake(gated);
  save_model(gated, folder / "gated");
  EXPECT_TRUE(convert(folder / "gated", folder / "seed", NormSpec::parse("seed_norm(gate_rank=3)")).lossless);
  EXPECT_TRUE(at::equal(logits(folder / "gated"), logits(folder / "seed")));
  EXPECT_FALSE(convert(folder / "gated", folder / "plain", NormSpec::parse("rms_norm")).lossless);
  EXPECT_NE(user_error([&] {
              convert(folder / "plain", folder / "x", NormSpec::parse("rms_norm(gate_rank=3)"));
            }).find("norm.block: gate_rank=3"),
            std::string::npos);
}

}  // namespace
}  // namespace seednorm::lab

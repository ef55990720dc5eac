// Drawing tokens, the text they make, and the loop: what ends it, and that batches change nothing.
#include "lab/language/generate/generate.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "lab/language/generate/text_stream.h"
#include "tests/lab/language/small_model.h"
#include "tests/lab/support.h"

namespace seednorm::lab {
namespace {

std::vector<float> logits_of(const std::vector<double>& probabilities) {
  std::vector<float> out;
  for (const double p : probabilities) out.push_back(static_cast<float>(std::log(p)));
  return out;
}

std::vector<int> counts(const SamplingConfig& config, const std::vector<float>& logits, int draws) {
  Sampler sampler(config);
  std::vector<int> out(logits.size());
  for (int i = 0; i < draws; ++i) ++out[sampler.next(logits)];
  return out;
}

TEST(Sampler, DrawsAsOftenAsTheSoftmaxSays) {
  const std::vector<double> p = {0.1, 0.4, 0.05, 0.25, 0.2};
  constexpr int kDraws = 20000;
  for (const double temperature : {0.5, 1.0, 2.0}) {
    const std::vector<int> got = counts({.temperature = temperature, .seed = 3}, logits_of(p), kDraws);
    double total = 0;
    for (const double value : p) total += std::pow(value, 1 / temperature);
    for (size_t i = 0; i < p.size(); ++i) {
      const double share = std::pow(p[i], 1 / temperature) / total;
      // Five standard deviations.
      EXPECT_LE(std::abs(got[i] - kDraws * share), 5 * std::sqrt(kDraws * share)) << temperature << " " << i;
    }
  }
}

TEST(Sampler, ZeroTemperatureTakesTheFirstOfTheLikeliest) {
  Sampler sampler({.temperature = 0});
  EXPECT_EQ(sampler.next(std::vector<float>{1, 3, 2, 3}), 1);
  EXPECT_EQ(sampler.next(std::vector<float>{-INFINITY, -2, -INFINITY}), 1);
}

TEST(Sampler, TopKAndTopPCut) {
  const std::vector<float> logits = logits_of({0.1, 0.4, 0.05, 0.25, 0.2});
  const auto drawn = [&](const SamplingConfig& config) {
    const std::vector<int> got = counts(config, logits, 2000);
    std::set<int> out;
    for (int i = 0; i < 5; ++i) {
      if (got[i] > 0) out.insert(i);
    }
    return out;
  };
  EXPECT_EQ(drawn({.top_k = 1}), (std::set{1}));
  EXPECT_EQ(drawn({.top_k = 3}), (std::set{1, 3, 4}));
  EXPECT_EQ(drawn({.top_k = 9}), (std::set{0, 1, 2, 3, 4}));
  EXPECT_EQ(drawn({.top_p = 0.3}), (std::set{1}));
  EXPECT_EQ(drawn({.top_p = 0.41}), (std::set{1, 3}));
  EXPECT_EQ(drawn({.top_p = 0.9}), (std::set{0, 1, 3, 4}));
  // Of the two that top_k leaves, 0.4 is 61%.
  EXPECT_EQ(drawn({.top_k = 2, .top_p = 0.6}), (std::set{1}));
}

// Against the plain way: sort all, add until p is reached.
TEST(Sampler, TopPOfManyTokens) {
  std::vector<float> logits(5000);
  for (size_t i = 0; i < logits.size(); ++i) logits[i] = static_cast<float>(4 * std::sin(i * i * 0.37));
  std::vector<std::pair<double, int>> sorted;
  double total = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    sorted.emplace_back(-std::exp(logits[i]), static_cast<int>(i));
    total += std::exp(logits[i]);
  }
  std::sort(sorted.begin(), sorted.end());
  for (const double top_p : {0.01, 0.5, 0.95}) {
    std::set<int> nucleus;
    double sum = 0;
    for (size_t i = 0; sum < top_p * total; ++i) {
      nucleus.insert(sorted[i].second);
      sum -= sorted[i].first;
    }
    const std::vector<int> got = counts({.top_p = top_p, .seed = 1}, logits, 300);
    for (int i = 0; i < 5000; ++i) EXPECT_TRUE(got[i] == 0 || nucleus.contains(i)) << top_p << " " << i;
  }
}

TEST(Sampler, RepeatsBySeedAndRefusesNaN) {
  const std::vector<float> logits(100, 0.0F);
  const auto draw = [&](uint64_t seed) {
    Sampler sampler({.seed = seed});
    std::vector<int32_t> out;
    for (int i = 0; i < 20; ++i) out.push_back(sampler.next(logits));
    return out;
  };
  EXPECT_EQ(draw(7), draw(7));
  EXPECT_NE(draw(7), draw(8));
  EXPECT_NE(draw(7), draw(7 + (uint64_t{1} << 40)));
  EXPECT_THROW(Sampler({}).next(std::vector<float>{1, NAN, 2}), std::runtime_error);
  EXPECT_THROW(Sampler({}).next(std::vector<float>{1, INFINITY}), std::runtime_error);
  for (const SamplingConfig& bad :
       {SamplingConfig{.temperature = -1}, SamplingConfig{.temperature = NAN}, SamplingConfig{.top_k = -1},
        SamplingConfig{.top_p = 0}, SamplingConfig{.top_p = 1.1}}) {
    EXPECT_THROW(Sampler{bad}, std::invalid_argument);
  }
}

// Pushes bytes one by one; "|" marks where a part ended.
std::string streamed(const std::string& bytes, const std::vector<std::string>& stops,
                     bool* stopped = nullptr) {
  TextStream stream(Tokenizer::bytes(), stops);
  std::string out;
  for (const char c : bytes) {
    out += stream.push(static_cast<unsigned char>(c));
    if (stream.stopped()) break;
    out += "|";
  }
  if (stopped != nullptr) *stopped = stream.stopped();
  return out + stream.finish();
}

TEST(TextStream, HoldsBackWhatIsNotCertain) {
  EXPECT_EQ(streamed("ab", {}), "a|b|");
  EXPECT_EQ(streamed("\u00e9x", {}), "|\u00e9|x|");
  EXPECT_EQ(streamed("\xe2\x82", {}), "||\ufffd");
  EXPECT_EQ(streamed("a\n\nb", {"\n\n"}), "a||");
  EXPECT_EQ(streamed("a\nb", {"\n\n"}), "a||\nb|");
  EXPECT_EQ(streamed("a\n", {"\n\n"}), "a||\n");  // no token follows: the beginning of a stop string is text
  // A stop string that begins in the beginning of another, and the earliest of several.
  EXPECT_EQ(streamed("aabc", {"abc"}), "|a||");
  EXPECT_EQ(streamed("xyz", {"z", "yz"}), "x||");
  EXPECT_EQ(streamed("\u20ac!", {"\u20ac!"}), "|||");
  bool stopped = false;
  EXPECT_EQ(streamed("a\xff", {"\ufffd"}, &stopped), "a|");
  EXPECT_TRUE(stopped);
}

TextModel byte_model(const std::string& family = "olmo2") {
  ModelConfig c = small_model(family, "seed_norm");
  c.vocab_size = 257;
  c.context = 64;
  c.init_std = 0.3;
  return {std::make_unique<Model>(c, 1), Tokenizer::bytes(), {256}};
}

std::vector<Generation> run(const TextModel& model, const std::vector<std::string>& prompts,
                            const GenerateOptions& options) {
  return generate(model, prompts, options, [](size_t, std::string_view) {}).generations;
}

class Families : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Generate, Families, testing::ValuesIn(family_names()),
                         [](const auto& i) { return i.param; });

TEST_P(Families, ABatchChangesNothing) {
  const TextModel model = byte_model(GetParam());
  const std::vector<std::string> prompts = {"In the beginning", "a", "", "And God said, Let there be light",
                                            "a"};
  GenerateOptions options = {.sampling = {.temperature = 0.8, .top_k = 50, .seed = 5}, .max_tokens = 20};
  const std::vector<Generation> together = run(model, prompts, options);
  options.batch = 1;
  const std::vector<Generation> one_by_one = run(model, prompts, options);
  for (size_t i = 0; i < prompts.size(); ++i) {
    EXPECT_EQ(together[i].tokens, one_by_one[i].tokens) << i;
    EXPECT_EQ(together[i].tokens, run(model, {prompts[i]}, options)[0].tokens) << i;
  }
  EXPECT_EQ(together[1].tokens, together[4].tokens);
}

TEST(Generate, GreedyIsTheArgmaxOfTheWholeSequence) {
  const TextModel model = byte_model();
  const at::NoGradGuard no_grad;
  const Generation got = run(model, {"Let"}, {.sampling = {.temperature = 0}, .max_tokens = 12})[0];
  std::vector<int64_t> ids = {'L', 'e', 't'};
  for (const int32_t token : got.tokens) {
    const at::Tensor logits = model.model->logits(at::tensor(ids, at::kLong).unsqueeze(0));
    EXPECT_EQ(logits[0][-1].argmax().item<int64_t>(), token);
    ids.push_back(token);
  }
  EXPECT_EQ(ids.size(), 15U);
}

TEST(Generate, WhatEndsIt) {
  TextModel model = byte_model();
  const GenerateOptions greedy = {.sampling = {.temperature = 0}, .max_tokens = 30};
  const Generation whole = run(model, {"Let"}, greedy)[0];
  EXPECT_EQ(whole.finish, Finish::kLength);
  EXPECT_EQ(whole.tokens.size(), 30U);
  EXPECT_EQ(whole.prompt_tokens, 3);
  // The context is full.
  const Generation full = run(model, {std::string(60, 'x')}, greedy)[0];
  EXPECT_EQ(full.finish, Finish::kContext);
  EXPECT_EQ(full.tokens.size(), 4U);
  // A token that ends documents, in the middle.
  model.eos_ids = {whole.tokens[5]};
  const Generation ended = run(model, {"Let"}, greedy)[0];
  const auto first = std::find(whole.tokens.begin(), whole.tokens.end(), whole.tokens[5]);
  EXPECT_EQ(ended.finish, Finish::kEos);
  EXPECT_EQ(ended.tokens, std::vector<int32_t>(whole.tokens.begin(), first + 1));
  model.eos_ids.clear();
  // The text's own third and fourth bytes, whatever they are.
  GenerateOptions with_stop = greedy;
  with_stop.stop = {
      model.tokenizer.decode(std::vector<int32_t>(whole.tokens.begin() + 2, whole.tokens.begin() + 4))};
  const Generation stopped = run(model, {"Let"}, with_stop)[0];
  EXPECT_EQ(stopped.finish, Finish::kStop);
  EXPECT_EQ(stopped.text, whole.text.substr(0, whole.text.find(with_stop.stop[0])));
}

TEST(Generate, BadPrompts) {
  TextModel model = byte_model();
  EXPECT_NE(user_error([&] {
              run(model, {"a", std::string(64, 'x')}, {});
            }).find("prompt 2: has 64 tokens"),
            std::string::npos);
  EXPECT_THROW(run(model, {"a"}, {.batch = kMaxBatch + 1}), std::invalid_argument);
  EXPECT_THROW(run(model, {"a"}, {.max_tokens = 0}), std::invalid_argument);
}

}  // namespace
}  // namespace seednorm::lab

// What a tokenizer.json may not have: each is refused in one line that names the file and the place.
#include <gtest/gtest.h>

#include <functional>

#include "lab/language/data/tokenizer/tokenizer.h"
#include "tests/lab/support.h"

namespace seednorm::lab {
namespace {

using nlohmann::json;

std::string error_of(const std::string& content) {
  std::string message = user_error([&] { Tokenizer::parse(content, "t.json"); });
  EXPECT_EQ(message.find("t.json: "), 0u) << message;
  EXPECT_LT(message.size(), 300u) << message;
  return message;
}

struct Case {
  const char* name;
  const char* expected;  // a part of the message
  std::function<void(json&)> change;
};

class TokenizerErrors : public ::testing::TestWithParam<Case> {};

TEST_P(TokenizerErrors, NamesThePlace) {
  json t = small_tokenizer({{"a", "b"}});
  t["added_tokens"] = {added_token(257, "<x>")};
  Tokenizer::parse(t.dump(), "t.json");
  GetParam().change(t);
  const std::string message = error_of(t.dump());
  EXPECT_NE(message.find(GetParam().expected), std::string::npos) << message;
}

const Case kCases[] = {
    {"NoModel", "has no \"model\"", [](json& t) { t.erase("model"); }},
    {"ModelType", "model.type: \"Unigram\" is not supported",
     [](json& t) { t["model"]["type"] = "Unigram"; }},
    {"Dropout", "model.dropout", [](json& t) { t["model"]["dropout"] = 0.1; }},
    {"UnkToken", "model.unk_token", [](json& t) { t["model"]["unk_token"] = "<unk>"; }},
    {"SubwordPrefix", "model.continuing_subword_prefix",
     [](json& t) { t["model"]["continuing_subword_prefix"] = "##"; }},
    {"WordSuffix", "model.end_of_word_suffix", [](json& t) { t["model"]["end_of_word_suffix"] = "</w>"; }},
    {"ByteFallback", "model.byte_fallback", [](json& t) { t["model"]["byte_fallback"] = true; }},
    {"Truncation", "truncation", [](json& t) { t["truncation"] = 5; }},
    {"Padding", "padding", [](json& t) { t["padding"] = true; }},
    {"PostProcessor", "post_processor.single: adds tokens to the text",
     [](json& t) {
       t["post_processor"] = {
           {"type", "TemplateProcessing"},
           {"single", {{{"SpecialToken", {{"id", "<s>"}}}}, {{"Sequence", {{"id", "A"}}}}}}};
     }},
    {"Normalizer", "normalizer.type: \"Lowercase\" is not supported",
     [](json& t) {
       t["normalizer"] = {{"type", "Lowercase"}};
     }},
    {"Decoder", "decoder.type: \"WordPiece\" is not supported",
     [](json& t) {
       t["decoder"] = {{"type", "WordPiece"}};
     }},
    {"NoDecoder", "decoder: null", [](json& t) { t["decoder"] = nullptr; }},
    {"NoPreTokenizer", "pre_tokenizer: null", [](json& t) { t["pre_tokenizer"] = nullptr; }},
    {"PreTokenizer", "pre_tokenizer.type: \"Metaspace\" is not supported",
     [](json& t) {
       t["pre_tokenizer"] = {{"type", "Metaspace"}};
     }},
    {"EmptySequence", "pre_tokenizer.pretokenizers: is empty",
     [](json& t) {
       t["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", json::array()}};
     }},
    {"StepInSequence", "pre_tokenizer.pretokenizers[0].type: \"Digits\" is not supported",
     [](json& t) {
       t["pre_tokenizer"] = {{"type", "Sequence"},
                             {"pretokenizers", {{{"type", "Digits"}}, t["pre_tokenizer"]}}};
     }},
    {"SplitBehavior", "pretokenizers[0].behavior: \"MergedWithNext\" is not supported",
     [](json& t) {
       const json split = {{"type", "Split"}, {"pattern", {{"Regex", "a"}}}, {"behavior", "MergedWithNext"}};
       t["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", {split, t["pre_tokenizer"]}}};
     }},
    {"SplitString", "pretokenizers[0].pattern: has no \"Regex\"",
     [](json& t) {
       const json split = {{"type", "Split"}, {"pattern", {{"String", "a"}}}, {"behavior", "Isolated"}};
       t["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", {split, t["pre_tokenizer"]}}};
     }},
    {"SplitPattern", "pretokenizers[0].pattern.Regex: an anchor at character 0",
     [](json& t) {
       const json split = {{"type", "Split"}, {"pattern", {{"Regex", "^a"}}}, {"behavior", "Isolated"}};
       t["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", {split, t["pre_tokenizer"]}}};
     }},
    {"MergeOfUnknown", "model.merges[1]: names \"zz\", which is not in model.vocab",
     [](json& t) { t["model"]["merges"].push_back("zz a"); }},
    {"MergeIntoUnknown", "model.merges[1]: names \"aa\"",
     [](json& t) { t["model"]["merges"].push_back("a a"); }},
    {"MergeForm", "model.merges[1]: expected two tokens",
     [](json& t) { t["model"]["merges"].push_back("a b c"); }},
    {"MergeType", "model.merges[1]: expected two tokens", [](json& t) { t["model"]["merges"].push_back(5); }},
    {"MergesType", "model.merges: expected an array", [](json& t) { t["model"]["merges"] = 5; }},
    {"DuplicateId", "model.vocab: id 97 is given to two tokens",
     [](json& t) { t["model"]["vocab"]["zz"] = 97; }},
    {"NegativeId", "token \"zz\": expected an id", [](json& t) { t["model"]["vocab"]["zz"] = -1; }},
    {"HugeId", "token \"zz\": expected an id", [](json& t) { t["model"]["vocab"]["zz"] = int64_t{1} << 40; }},
    {"IdType", "token \"zz\": expected an id", [](json& t) { t["model"]["vocab"]["zz"] = "5"; }},
    {"VocabType", "model.vocab: expected an object",
     [](json& t) { t["model"]["vocab"] = json::array({"a"}); }},
    {"AddedId", "added_tokens[0].id: 300 for \"<x>\", expected 257",
     [](json& t) { t["added_tokens"][0]["id"] = 300; }},
    {"AddedIdOfVocab", "added_tokens[1].id: 258 for \"ab\", expected 256 as in model.vocab",
     [](json& t) { t["added_tokens"].push_back(added_token(258, "ab")); }},
    {"AddedTwice", "added_tokens[1].content: is there twice",
     [](json& t) { t["added_tokens"].push_back(added_token(258, "<x>")); }},
    {"AddedEmpty", "added_tokens[0].content: is empty",
     [](json& t) { t["added_tokens"][0]["content"] = ""; }},
    {"AddedFlag", "added_tokens[0].lstrip: expected true or false",
     [](json& t) { t["added_tokens"][0]["lstrip"] = 1; }},
    {"AddedNoFlag", "added_tokens[0]: has no \"normalized\"",
     [](json& t) { t["added_tokens"][0].erase("normalized"); }},
};
INSTANTIATE_TEST_SUITE_P(Each, TokenizerErrors, ::testing::ValuesIn(kCases),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(TokenizerFile, TornAtAnyPlace) {
  json t = small_tokenizer({{"a", "b"}});
  const std::string content = t.dump();
  for (size_t size = 0; size < content.size(); size += 1 + size / 50) error_of(content.substr(0, size));
}

TEST(TokenizerFile, AnyByteChanged) {
  json t = small_tokenizer({{"a", "b"}});
  t["added_tokens"] = {added_token(257, "<|endoftext|>")};
  const std::string content = t.dump();
  for (size_t i = 0; i < content.size(); i += 7) {
    for (const char c : {'\0', '"', '{', '9', '\xFF'}) {
      std::string changed = content;
      changed[i] = c;
      try {
        Tokenizer::parse(changed, "t.json").encode("ab <|endoftext|>");
      } catch (const UserError& error) {
        EXPECT_EQ(std::string(error.what()).find("t.json: "), 0u);
      }
    }
  }
}

TEST(TokenizerFile, NestedDeeply) {
  error_of(std::string(2000000, '['));
  error_of(R"({"model": )" + std::string(1000000, '[') + std::string(1000000, ']') + "}");
}

TEST(TokenizerFile, MissingOrNoFile) {
  user_error([] { Tokenizer::load("/nonexistent/tokenizer.json"); });
  user_error([] { Tokenizer::load("/tmp"); });
}

TEST(TokenizerFile, NameIsOfTheFileOrItsFolder) {
  const std::string content = small_tokenizer({}).dump();
  EXPECT_EQ(Tokenizer::parse(content, "a/dolma2.json").name(), "dolma2");
  EXPECT_EQ(Tokenizer::parse(content, "models/olmo/tokenizer.json").name(), "olmo");
}

}  // namespace
}  // namespace seednorm::lab

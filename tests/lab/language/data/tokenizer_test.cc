// The rules of tokenizer.json on small tokenizers. The ids of the added tokens and prefixes are what Hugging
// Face's `tokenizers` 0.23.3 gives for the same files and texts.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "lab/language/data/tokenizer/regex_split.h"
#include "lab/language/data/tokenizer/tokenizer.h"
#include "tests/lab/support.h"

namespace seednorm::lab {
namespace {

using Ids = std::vector<int32_t>;

Ids encode(const nlohmann::json& json, std::string_view text) {
  return Tokenizer::parse(json.dump(), "small.json").encode(text);
}

TEST(Bpe, LowestRankFirstThenLeftmost) {
  // 256 = ab, 257 = bc, 258 = abc, 259 = aa
  const auto json = small_tokenizer({{"b", "c"}, {"a", "b"}, {"a", "bc"}, {"a", "a"}});
  const Tokenizer t = Tokenizer::parse(json.dump(), "small.json");
  EXPECT_EQ(t.id_of("bc").value_or(-1), 256);
  EXPECT_EQ(t.encode("abc"), (Ids{t.id_of("abc").value_or(-1)}));
  EXPECT_EQ(t.encode("ab"), (Ids{t.id_of("ab").value_or(-1)}));
  EXPECT_EQ(t.encode("aaa"), (Ids{t.id_of("aa").value_or(-1), 'a'}));
  EXPECT_EQ(t.encode(""), Ids{});
}

// Against the rule itself, written down without a heap.
TEST(Bpe, AgreesWithTheRuleOnRandomWords) {
  std::mt19937 random(1);
  const std::vector<std::pair<std::string, std::string>> merges = {{"a", "b"},   {"b", "a"},  {"ab", "a"},
                                                                   {"a", "a"},   {"ba", "b"}, {"aa", "ab"},
                                                                   {"ab", "ab"}, {"c", "ab"}, {"abab", "c"}};
  const Tokenizer tokenizer = Tokenizer::parse(small_tokenizer(merges).dump(), "small.json");
  Encoder encoder(tokenizer);
  for (int round = 0; round < 3000; ++round) {
    std::string word;
    for (size_t i = 0, size = 1 + random() % 100; i < size; ++i) word += "abc"[random() % 3];
    std::vector<std::string> parts;
    for (const char c : word) parts.emplace_back(1, c);
    while (true) {
      size_t best = merges.size(), at = 0;
      for (size_t i = 0; i + 1 < parts.size(); ++i) {
        for (size_t rank = 0; rank < best; ++rank) {
          if (merges[rank] == std::pair(parts[i], parts[i + 1])) best = rank, at = i;
        }
      }
      if (best == merges.size()) break;
      parts[at] += parts[at + 1];
      parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(at) + 1);
    }
    Ids expected, ids;
    for (const std::string& part : parts) expected.push_back(tokenizer.id_of(part).value_or(-1));
    encoder.encode(word, ids);
    ASSERT_EQ(ids, expected) << word;
  }
}

TEST(Bpe, LongWordsTakeNoSquareOfTheirLength) {
  const auto json = small_tokenizer({{"a", "a"}, {"aa", "aa"}});
  EXPECT_EQ(encode(json, std::string(4000000, 'a')).size(), 1000000u);
  EXPECT_EQ(encode(json, std::string(4000000, ' ')).size(), 4000000u);
}

TEST(Bpe, WordsAreForgottenWithoutHarm) {
  const Tokenizer tokenizer = Tokenizer::parse(small_tokenizer({{"1", "2"}}).dump(), "small.json");
  Encoder encoder(tokenizer);
  for (int i = 0; i < 200000; ++i) {
    const std::string word = std::to_string(i);
    Ids ids;
    encoder.encode(word, ids);
    ASSERT_EQ(tokenizer.decode(ids), word);
  }
}

TEST(Bpe, IgnoreMerges) {
  auto json = small_tokenizer({{"a", "b"}});
  json["model"]["vocab"]["bb"] = 257;
  EXPECT_EQ(encode(json, "bb"), (Ids{'b', 'b'}));
  json["model"]["ignore_merges"] = true;
  EXPECT_EQ(encode(json, "bb"), (Ids{257}));
  EXPECT_EQ(encode(json, "bbb"), (Ids{'b', 'b', 'b'}));
}

TEST(Merges, OldAndNewFormAreTheSame) {
  auto json = small_tokenizer({{"a", "b"}});
  json["model"]["merges"] = nlohmann::json::parse(R"([["a", "b"]])");
  EXPECT_EQ(encode(json, "ab"), (Ids{256}));
}

TEST(Gpt2Regex, CutsWords) {
  const auto json = small_tokenizer({{"Ġ", "a"}, {"Ġ", "Ġ"}});  // 256 = " a", 257 = "  "
  EXPECT_EQ(encode(json, "a a"), (Ids{'a', 256}));
  EXPECT_EQ(encode(json, "a   a"), (Ids{'a', 257, 256}));  // the last blank belongs to the word
}

nlohmann::json with_token(const nlohmann::json& change = nlohmann::json::object(),
                          const nlohmann::json& normalizer = nullptr) {
  auto json = small_tokenizer({});
  json["normalizer"] = normalizer;
  json["added_tokens"] = {added_token(256, "<x>")};
  json["added_tokens"][0].update(change);
  return json;
}

TEST(AddedTokens, Flags) {
  EXPECT_EQ(encode(with_token({{"lstrip", true}}), "a  <x>  b"), (Ids{97, 256, 32, 32, 98}));
  EXPECT_EQ(encode(with_token({{"rstrip", true}}), "a  <x>  b<x>"), (Ids{97, 32, 32, 256, 98, 256}));
  EXPECT_EQ(encode(with_token({{"lstrip", true}, {"rstrip", true}}), "a <x> <x> <x>"),
            (Ids{97, 256, 256, 256}));
  EXPECT_EQ(
      encode(with_token({{"single_word", true}}), "a<x>b <x> <x>c _<x>  <x>é é<x> -<x>- <x>\u200d"),
      (Ids{97, 60,  120, 62, 98,  32,  256, 32,  60, 120, 62, 99,  32, 95, 60, 120, 62, 32,  32,  60, 120,
           62, 195, 169, 32, 195, 169, 60,  120, 62, 32,  45, 256, 45, 32, 60, 120, 62, 226, 128, 141}));
  EXPECT_EQ(encode(with_token({{"normalized", true}}, {{"type", "NFC"}}), "a<x> e\u0301<x>"),
            (Ids{97, 256, 32, 195, 169, 256}));
}

TEST(AddedTokens, OneInTheSpaceThatAnotherTakes) {
  auto json = with_token({{"rstrip", true}});
  json["added_tokens"].push_back(added_token(257, "  "));
  EXPECT_EQ(encode(json, "<x>   a"), (Ids{256, 257, 32, 97}));
  EXPECT_EQ(encode(json, "<x>    a"), (Ids{256, 257, 257, 97}));
}

TEST(AddedTokens, TokensOfSpacesTakeNoSquareOfTheText) {
  auto json = with_token({{"lstrip", true}, {"rstrip", true}});
  json["added_tokens"][0]["content"] = " ";
  EXPECT_EQ(encode(json, "a" + std::string(1000000, ' ') + "b").size(), 1000002U);
}

TEST(AddedTokens, LongestOfThoseThatBeginTogether) {
  auto json = small_tokenizer({});
  json["added_tokens"] = {added_token(256, "ab"), added_token(257, "abcd"), added_token(258, "bc")};
  EXPECT_EQ(encode(json, "abcd"), (Ids{257}));
  EXPECT_EQ(encode(json, "abc"), (Ids{256, 'c'}));
  EXPECT_EQ(encode(json, "abcabcd"), (Ids{256, 'c', 257}));
}

TEST(AddedTokens, DecodedWithAndWithoutSpecial) {
  const Tokenizer tokenizer = Tokenizer::parse(with_token().dump(), "small.json");
  EXPECT_EQ(tokenizer.decode(Ids{'a', 256, 'b', 100000, -1}), "a<x>b");
  EXPECT_EQ(tokenizer.decode(Ids{'a', 256, 'b'}, false), "ab");
  EXPECT_FALSE(tokenizer.eos_id().has_value());
}

TEST(PrefixSpace, BeforeEachPieceWithoutOne) {
  auto json = with_token();
  json["pre_tokenizer"]["add_prefix_space"] = true;
  EXPECT_EQ(encode(json, "a b"), (Ids{32, 97, 32, 98}));
  EXPECT_EQ(encode(json, " a"), (Ids{32, 97}));
  EXPECT_EQ(encode(json, "a<x>b"), (Ids{32, 97, 256, 32, 98}));
}

TEST(Split, BehavioursAndOrder) {
  auto json = small_tokenizer({});
  const nlohmann::json byte_level = {{"type", "ByteLevel"}, {"add_prefix_space", true}, {"use_regex", false}};
  nlohmann::json split = {
      {"type", "Split"}, {"pattern", {{"Regex", "[a-z]+"}}}, {"behavior", "Removed"}, {"invert", false}};
  json["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", {split, byte_level}}};
  EXPECT_EQ(encode(json, "12ab34 c"), (Ids{32, 49, 50, 32, 51, 52, 32}));
  json["pre_tokenizer"]["pretokenizers"][0]["invert"] = true;
  EXPECT_EQ(encode(json, "12ab34 c"), (Ids{32, 97, 98, 32, 99}));
  json["pre_tokenizer"]["pretokenizers"][0]["behavior"] = "Isolated";
  EXPECT_EQ(encode(json, "1a"), (Ids{32, 49, 32, 97}));
}

std::vector<std::string_view> cut(const std::string& pattern, std::string_view text) {
  const RegexSplit split(pattern, RegexSplit::Keep::kMatches);
  RegexSplit::Scratch scratch(split);
  std::vector<std::string_view> pieces;
  split.split(text, scratch, pieces);
  return pieces;
}

TEST(Regex, WhiteSpaceIsUnicodes) {
  EXPECT_EQ(cut("\\s", "\u0085\u00A0\u3000\u2028\t").size(), 5u);
  EXPECT_EQ(cut("\\s", "\u180E\u200B\uFEFF").size(), 0u);
  EXPECT_EQ(cut("[^\\s]", "a\u0085\u180E").size(), 2u);
  EXPECT_EQ(cut("\\S", "a\u0085\u180E").size(), 2u);
}

TEST(Regex, NewLettersAndNumbers) {
  EXPECT_EQ(cut("\\p{L}+", "a\U00013460\U000316F8b").size(), 1u);
  EXPECT_EQ(cut("[^\\p{L}\\p{N}]", "a\U00013460\U000116D01!").size(), 1u);
}

TEST(Regex, WhatTheDialectsReadOtherwiseIsRefused) {
  for (const char* pattern :
       {"^a",     "a$",     "\\bword",  "(?<=a)b", "(?i)a",   "a{,3}", "a{1,3}+", "a{2}?",
        "[a[b]]", "[a&&b]", "\\p{Han}", "\\p{^L}", "\\h",     "[\\S]", "\\1",     "(a)\\k<1>",
        "a\\",    "[a",     "(*UCP)a",  "(?#x)a",  "\\x{41}", "\\d",   "\\w",     "{"}) {
    EXPECT_THROW(translate_pattern(pattern), std::invalid_argument) << pattern;
  }
  for (const char* pattern : {"a*", "", "a|", "(?:b)?", "(a", "a)"}) {
    EXPECT_THROW(RegexSplit(pattern, RegexSplit::Keep::kAll), std::invalid_argument) << pattern;
  }
}

TEST(Regex, RunawayPatternIsAnError) {
  const RegexSplit split("(?:a|aa)+[bc]", RegexSplit::Keep::kAll);
  RegexSplit::Scratch scratch(split);
  std::vector<std::string_view> pieces;
  const std::string text(5000, 'a');
  user_error([&] { split.split(text, scratch, pieces); });
}

TEST(Regex, LookingFarAheadIsBounded) {
  const auto pieces_of = [](const char* pattern, const std::string& text) {
    const RegexSplit split(pattern, RegexSplit::Keep::kAll);
    RegexSplit::Scratch scratch(split);
    std::vector<std::string_view> pieces;
    split.split(text, scratch, pieces);
    return pieces;
  };
  const std::string text(1000000, 'a');
  for (const char* pattern : {"(?=a+b)a", "a+b|a"}) {
    EXPECT_NE(user_error([&] { pieces_of(pattern, text); }).find(pattern), std::string::npos);
  }
  // What needs more than a window of the text is found as it is in the whole.
  EXPECT_EQ(pieces_of("a+b|a", text + "b").size(), 1U);
  EXPECT_EQ(pieces_of("a+(?!\\S)|c", text + " c").size(), 3U);
  EXPECT_EQ(pieces_of("b", text + "b" + text).size(), 3U);
  std::string wide;  // windows end inside of characters
  for (int i = 0; i < 5000; ++i) wide += i % 7 == 0 ? "\u20ac " : "\u20ac";
  EXPECT_EQ(pieces_of("\\s+", wide).size(), 1431U);
}

TEST(Nfc, AsOfUnicode9) {
  auto json = small_tokenizer({});
  json["normalizer"] = {{"type", "NFC"}};
  const Tokenizer tokenizer = Tokenizer::parse(json.dump(), "small.json");
  const auto round_trip = [&](std::string_view text) { return tokenizer.decode(tokenizer.encode(text)); };
  EXPECT_EQ(round_trip("e\u0301 \u1112\u1161\u11AB"), "\u00E9 \uD55C");
  EXPECT_EQ(round_trip("a\u0301\u0323"), "\u1EA1\u0301");
  EXPECT_EQ(round_trip("a\u08D3\u05B3"), "a\u08D3\u05B3");  // U+08D3 is of Unicode 11: it does not move
  EXPECT_EQ(round_trip("\U00011935\U00011930"), "\U00011935\U00011930");  // composed since Unicode 13
}

TEST(Encode, InvalidUtf8BecomesReplacementCharacters) {
  const Tokenizer tokenizer = Tokenizer::parse(small_tokenizer({}).dump(), "small.json");
  Ids ids;
  EXPECT_EQ(Encoder(tokenizer).encode("a\xFF\xE2\x82z", ids), 2u);
  EXPECT_EQ(tokenizer.decode(ids), "a\uFFFD\uFFFDz");
}

TEST(StreamDecoder, PartsMakeTheWhole) {
  const Tokenizer tokenizer = Tokenizer::bytes();
  std::mt19937 random(2);
  for (int round = 0; round < 2000; ++round) {
    Ids ids;
    for (size_t i = 0, size = random() % 12; i < size; ++i) {
      // Mostly bytes that begin or continue characters.
      ids.push_back(static_cast<int32_t>(random() % 3 == 0 ? random() % 257 : 0x80 + random() % 0x80));
    }
    StreamDecoder decoder(tokenizer);
    std::string text;
    for (const int32_t id : ids) text += decoder.push(id);
    ASSERT_EQ(text + decoder.finish(), tokenizer.decode(ids));
  }
  StreamDecoder decoder(tokenizer);
  EXPECT_EQ(decoder.push(0xF0), "");
  EXPECT_EQ(decoder.push(0x9F), "");
  EXPECT_EQ(decoder.push(0x98), "");
  EXPECT_EQ(decoder.push(0x80), "\U0001F600");
}

TEST(ByteTokenizer, KeepsEveryByte) {
  const Tokenizer tokenizer = Tokenizer::load("byte");
  EXPECT_EQ(tokenizer.vocab_size(), 257);
  EXPECT_EQ(tokenizer.eos_id().value_or(-1), 256);
  EXPECT_TRUE(tokenizer.is_special(256));
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  std::string back;
  for (const int32_t id : tokenizer.encode(all)) back += tokenizer.bytes_of(id);
  EXPECT_EQ(back, all);
  EXPECT_EQ(tokenizer.encode("<|endoftext|>").size(), 13u);  // text never becomes the end of a document
}

TEST(ByteTokenizer, IsTheSameFromItsFile) {
  const Tokenizer named = Tokenizer::bytes();
  auto json = nlohmann::json::parse(named.json());
  json["padding"] = {{"strategy", "BatchLongest"}};  // saved again by another program
  json["model"]["dropout"] = nullptr;
  for (const std::string& text : {named.json(), json.dump()}) {
    const Tokenizer read = Tokenizer::parse(text, "model/tokenizer.json");
    EXPECT_EQ(read.sha256(), named.sha256());
    EXPECT_EQ(read.name(), "byte");
    EXPECT_EQ(read.json(), named.json());
    for (const char* given : {"Gr\xf6\xdf"
                              "e",
                              "\xff\xfe", "<|endoftext|>"}) {
      EXPECT_EQ(read.encode(given), named.encode(given));
    }
  }
  json["model"]["vocab"]["!"] = 34;
  json["model"]["vocab"]["\""] = 33;
  EXPECT_NE(Tokenizer::parse(json.dump(), "x.json").sha256(), named.sha256());
}

TEST(Tokenizer, SavedAgainByOtherPrograms) {
  auto json = small_tokenizer({{"a", "b"}});
  json["truncation"] = {{"max_length", 5}};
  json["padding"] = {{"strategy", "BatchLongest"}};
  json["post_processor"] = {
      {"type", "Sequence"},
      {"processors",
       {{{"type", "ByteLevel"}, {"trim_offsets", true}},
        {{"type", "TemplateProcessing"},
         {"single", nlohmann::json::array({{{"Sequence", {{"id", "A"}, {"type_id", 0}}}}})},
         {"pair", nlohmann::json::array()},
         {"special_tokens", nlohmann::json::object()}}}}};
  EXPECT_EQ(Tokenizer::parse(json.dump(), "x.json").encode("ab ab ab ab ab ab").size(), 11U);
}

}  // namespace
}  // namespace seednorm::lab

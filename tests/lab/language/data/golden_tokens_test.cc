// The tokenizers of OLMo against what Hugging Face's `tokenizers` gave for the same texts.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <vector>

#include "lab/language/data/tokenizer/tokenizer.h"
#include "tests/lab/support.h"

namespace seednorm::lab {
namespace {

using Ids = std::vector<int32_t>;

std::vector<nlohmann::json> read_lines(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::vector<nlohmann::json> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(nlohmann::json::parse(line));
  EXPECT_FALSE(lines.empty()) << path;
  return lines;
}

std::string stream_decode(const Tokenizer& tokenizer, const Ids& ids) {
  StreamDecoder decoder(tokenizer);
  std::string text;
  for (const int32_t id : ids) {
    const std::string part = decoder.push(id);
    EXPECT_EQ(valid_utf8_size(part), part.size());
    text += part;
  }
  return text + decoder.finish();
}

struct Golden {
  const char* tokenizer;
  const char* lines;
};

class GoldenTokens : public ::testing::TestWithParam<Golden> {};

TEST_P(GoldenTokens, EncodeAndDecode) {
  const std::string file = std::string("tokenizers/") + GetParam().tokenizer + ".json";
  SEEDNORM_NEEDS_DATA(file);
  const Tokenizer tokenizer = Tokenizer::load(data_file(file).string());
  Encoder encoder(tokenizer);
  const auto lines = read_lines(data_file(std::string("goldens/tokenizer/") + GetParam().lines + ".jsonl"));
  for (int round = 0; round < 2; ++round) {  // the second finds its words remembered
    for (const auto& line : lines) {
      const auto text = line["text"].get<std::string>();
      Ids ids;
      EXPECT_EQ(encoder.encode(text, ids), 0u);
      EXPECT_EQ(ids, line["ids"].get<Ids>()) << line["kind"] << " " << text;
      EXPECT_EQ(tokenizer.decode(ids), line["decoded"].get<std::string>());
      EXPECT_EQ(stream_decode(tokenizer, ids), line["decoded"].get<std::string>());
      if (line.contains("decoded_without_special")) {
        EXPECT_EQ(tokenizer.decode(ids, false), line["decoded_without_special"].get<std::string>());
      }
    }
  }
}

TEST_P(GoldenTokens, PartialDecode) {
  const std::string file = std::string("tokenizers/") + GetParam().tokenizer + ".json";
  SEEDNORM_NEEDS_DATA(file);
  const Tokenizer tokenizer = Tokenizer::load(data_file(file).string());
  for (const auto& line : read_lines(
           data_file(std::string("goldens/tokenizer/") + GetParam().lines + ".partial_decode.jsonl"))) {
    const auto ids = line["ids"].get<Ids>();
    EXPECT_EQ(tokenizer.decode(ids), line["decoded"].get<std::string>()) << line;
    EXPECT_EQ(stream_decode(tokenizer, ids), line["decoded"].get<std::string>()) << line;
  }
}

INSTANTIATE_TEST_SUITE_P(Olmo, GoldenTokens,
                         ::testing::Values(Golden{"allenai_dolma2", "dolma2"},
                                           Golden{"allenai_gpt-neox-olmo-dolma-v1_5",
                                                  "gpt-neox-olmo-dolma-v1_5"}),
                         [](const auto& info) { return info.index == 0 ? "Dolma2" : "GptNeox"; });

TEST(GoldenEncodings, EveryTokenizer) {
  SEEDNORM_NEEDS_DATA("tokenizers/golden_encodings.jsonl");
  const auto lines = read_lines(data_file("tokenizers/golden_encodings.jsonl"));
  for (const auto& [name, unused] : lines[0]["ids"].items()) {
    const Tokenizer tokenizer = Tokenizer::load(data_file("tokenizers/" + name + ".json").string());
    EXPECT_EQ(tokenizer.name(), name);
    EXPECT_TRUE(tokenizer.eos_id().has_value());
    for (const auto& line : lines) {
      const auto ids = line["ids"][name].get<Ids>();
      EXPECT_EQ(tokenizer.encode(line["text"].get<std::string>()), ids) << name << " " << line["text"];
      EXPECT_EQ(tokenizer.decode(ids), line["decoded"][name].get<std::string>());
    }
  }
}

}  // namespace
}  // namespace seednorm::lab

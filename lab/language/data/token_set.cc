#include "lab/language/data/token_set.h"

#include <algorithm>

#include "lab/base/error.h"
#include "lab/base/json_field.h"
#include "lab/language/data/tokenizer/tokenizer.h"

namespace seednorm::lab {
namespace {

constexpr int kFormat = 1;
constexpr int64_t kMaxCount = int64_t{1} << 48;

int64_t count(const JsonField& parent, std::string_view key) { return parent[key].integer(0, kMaxCount); }

TokenSetInfo::Shard parse_shard(const JsonField& field) {
  TokenSetInfo::Shard shard{
      .file = field["file"].string(),
      .tokens = count(field, "tokens"),
      .documents = count(field, "documents"),
      .crc32 = static_cast<uint32_t>(field["crc32"].integer(0, UINT32_MAX)),
      .index_crc32 = static_cast<uint32_t>(field["index_crc32"].integer(0, UINT32_MAX))};
  // The name must be that of a file in the same folder.
  if (!shard.file.ends_with(".bin") || shard.file.find('/') != std::string::npos) {
    field["file"].fail("expected a name that ends in .bin, got " + quote(shard.file));
  }
  return shard;
}

}  // namespace

nlohmann::json TokenSetInfo::to_json() const {
  nlohmann::json source_list = nlohmann::json::array(), shard_list = nlohmann::json::array();
  for (const Source& source : sources) {
    source_list.push_back({{"file", source.file},
                           {"documents", source.documents},
                           {"tokens", source.tokens},
                           {"text_bytes", source.text_bytes}});
  }
  for (const Shard& shard : shards) {
    shard_list.push_back({{"file", shard.file},
                          {"tokens", shard.tokens},
                          {"documents", shard.documents},
                          {"crc32", shard.crc32},
                          {"index_crc32", shard.index_crc32}});
  }
  nlohmann::json json = {{"format", kFormat},
                         {"tokenizer", tokenizer},
                         {"tokenizer_sha256", tokenizer_sha256},
                         {"vocab_size", vocab_size},
                         {"eos_id", nullptr},
                         {"dtype", name_of(type)},
                         {"documents", documents},
                         {"tokens", tokens},
                         {"text_bytes", text_bytes},
                         {"unigram_entropy", unigram_entropy},
                         {"sources", source_list},
                         {"shards", shard_list}};
  if (eos_id.has_value()) json["eos_id"] = *eos_id;
  return json;
}

TokenSetInfo TokenSetInfo::parse(std::string_view text, const std::string& file) {
  const nlohmann::json json = parse_json(text, file);
  const JsonField root(json, file);
  root["format"].integer(kFormat, kFormat);
  TokenSetInfo info;
  info.tokenizer = root["tokenizer"].string();
  info.tokenizer_sha256 = same_tokenizer_sha256(root["tokenizer_sha256"].string());
  info.vocab_size = static_cast<int32_t>(root["vocab_size"].integer(1, INT32_MAX));
  if (const JsonField eos = root["eos_id"]; !eos.is_null()) {
    info.eos_id = static_cast<int32_t>(eos.integer(0, info.vocab_size - 1));
  }
  const std::string& type = root["dtype"].string();
  if (type != "uint16" && type != "uint32")
    root["dtype"].fail("expected uint16 or uint32, got " + quote(type));
  info.type = type == "uint16" ? TokenType::kUint16 : TokenType::kUint32;
  info.documents = count(root, "documents");
  info.tokens = count(root, "tokens");
  info.text_bytes = count(root, "text_bytes");
  info.unigram_entropy = root["unigram_entropy"].number();
  const JsonField sources = root["sources"], shards = root["shards"];
  for (size_t i = 0; i < sources.array().size(); ++i) {
    const JsonField source = sources[i];
    info.sources.push_back({source["file"].string(), count(source, "documents"), count(source, "tokens"),
                            count(source, "text_bytes")});
  }
  int64_t tokens = 0;
  for (size_t i = 0; i < shards.array().size(); ++i) {
    info.shards.push_back(parse_shard(shards[i]));
    tokens += info.shards.back().tokens;
  }
  if (tokens != info.tokens) {
    root["tokens"].fail(std::to_string(info.tokens) + ", but the shards have " + std::to_string(tokens));
  }
  return info;
}

}  // namespace seednorm::lab

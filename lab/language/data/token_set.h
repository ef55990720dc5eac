// The content of tokens.json, which describes a folder of token shards.
#ifndef SEEDNORM_LAB_LANGUAGE_DATA_TOKEN_SET_H_
#define SEEDNORM_LAB_LANGUAGE_DATA_TOKEN_SET_H_

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace seednorm::lab {

inline constexpr const char* kTokenSetFile = "tokens.json";

// The type of ids in a shard, which are little-endian and without a header, like OLMo's.
enum class TokenType { kUint16, kUint32 };
inline int64_t bytes_per_token(TokenType type) { return type == TokenType::kUint16 ? 2 : 4; }
inline const char* name_of(TokenType type) { return type == TokenType::kUint16 ? "uint16" : "uint32"; }

struct TokenSetInfo {
  struct Source {
    std::string file;
    int64_t documents = 0, tokens = 0, text_bytes = 0;
  };
  struct Shard {
    std::string file;  // in the same folder; its index has ".idx" instead of ".bin"
    int64_t tokens = 0, documents = 0;
    uint32_t crc32 = 0, index_crc32 = 0;
  };

  std::string tokenizer, tokenizer_sha256;
  int32_t vocab_size = 0;
  std::optional<int32_t> eos_id;  // ends each document, and is counted as a token
  TokenType type = TokenType::kUint16;
  int64_t documents = 0, tokens = 0;
  int64_t text_bytes = 0;      // UTF-8 that was encoded
  double unigram_entropy = 0;  // nats per token
  std::vector<Source> sources;
  std::vector<Shard> shards;

  nlohmann::json to_json() const;
  // Throws UserError, "FILE: shards[2].tokens: ...".
  static TokenSetInfo parse(std::string_view json, const std::string& file);
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_DATA_TOKEN_SET_H_

// Converts text to token ids and back, by byte-level BPE from Hugging Face's tokenizer.json or by plain
// bytes.
#ifndef SEEDNORM_LAB_LANGUAGE_DATA_TOKENIZER_TOKENIZER_H_
#define SEEDNORM_LAB_LANGUAGE_DATA_TOKENIZER_TOKENIZER_H_

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace seednorm::lab {

// The name of its file beside token shards and models that were made with it.
inline constexpr const char* kTokenizerFile = "tokenizer.json";

struct BpeTokenizer;  // the parts that only byte-level BPE has

// A vocabulary and the rules that use it. Immutable and cheap to copy; threads may share it.
class Tokenizer {
 public:
  // `source` is "byte" or a tokenizer.json. Throws UserError if the file is missing, damaged, or has a part
  // that is not supported; no part is skipped.
  static Tokenizer load(const std::string& source);
  // Parses a tokenizer.json; `file` names it in errors. A file that describes bytes() gives bytes().
  static Tokenizer parse(std::string_view json, const std::string& file);
  // Ids 0 to 255 are bytes, and 256 ends a document. Any bytes survive encoding and decoding.
  static Tokenizer bytes();

  const std::string& name() const { return name_; }  // "byte", or the name of the file: "allenai_dolma2"
  // The SHA-256 of the file, hexadecimal. For bytes() it is the same whether it was named or read from a
  // file.
  const std::string& sha256() const { return sha256_; }
  // The content of tokenizer.json, to be written beside shards and models. For bytes() it is an equivalent
  // file.
  const std::string& json() const { return *json_; }
  int32_t vocab_size() const { return static_cast<int32_t>(bytes_of_.size()); }  // the largest id plus one
  // The id that ends a document, known by one of its usual names (<|endoftext|>, </s>, ...).
  std::optional<int32_t> eos_id() const { return eos_id_; }
  // The id of an added token, or of a token as the file writes it.
  std::optional<int32_t> id_of(std::string_view token) const;
  bool is_special(int32_t id) const;
  // The bytes of a token, which need not be complete UTF-8. Empty for ids without a token.
  std::string_view bytes_of(int32_t id) const;

  // The ids of a text, without tokens that mark its start or end. Invalid UTF-8 is read as U+FFFD, except by
  // `bytes()`. Encoder does the same faster for more than one text.
  std::vector<int32_t> encode(std::string_view text) const;
  // Decodes to UTF-8; each longest invalid piece becomes U+FFFD.
  std::string decode(std::span<const int32_t> ids, bool keep_special = true) const;

 private:
  friend class Encoder;
  friend class TokenizerParser;
  static bool is_bytes(const nlohmann::json& tokenizer_json);

  std::string name_, sha256_;
  std::shared_ptr<const std::string> json_;
  std::optional<int32_t> eos_id_;
  std::vector<std::string> bytes_of_;
  std::vector<bool> special_;
  std::shared_ptr<const BpeTokenizer> bpe_;  // null: plain bytes
};

// The present Tokenizer::sha256 of a tokenizer that had `sha256` in an earlier version, which treated the
// file of bytes() as a different tokenizer.
std::string_view same_tokenizer_sha256(std::string_view sha256);

// Encodes many texts and caches words. Each thread needs its own.
class Encoder {
 public:
  explicit Encoder(const Tokenizer& tokenizer);
  ~Encoder();
  Encoder(Encoder&&) noexcept;

  // Appends the ids of `text` to `ids`. Returns the number of pieces that were not UTF-8.
  size_t encode(std::string_view text, std::vector<int32_t>& ids);

 private:
  struct Scratch;

  Tokenizer tokenizer_;
  std::unique_ptr<Scratch> scratch_;
};

// Decodes one token at a time, for text that is shown while it is generated. All parts together equal the
// result of Tokenizer::decode.
class StreamDecoder {
 public:
  explicit StreamDecoder(Tokenizer tokenizer, bool keep_special = true)
      : tokenizer_(std::move(tokenizer)), keep_special_(keep_special) {}

  // The text that is final now; bytes that may start a character wait for the next token.
  std::string push(int32_t id);
  // The waiting bytes, as U+FFFD.
  std::string finish();

 private:
  Tokenizer tokenizer_;
  bool keep_special_;
  std::string waiting_;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_DATA_TOKENIZER_TOKENIZER_H_

// Text to token ids and back: byte-level BPE as Hugging Face's tokenizer.json describes it, and plain bytes.
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

// Its name in a folder of what was made with it: token shards, models.
inline constexpr const char* kTokenizerFile = "tokenizer.json";

struct BpeTokenizer;  // what only byte-level BPE has

// A vocabulary and the rules that use it. Immutable and cheap to copy; threads may share it.
class Tokenizer {
 public:
  // `source` is "byte" or a tokenizer.json. Throws UserError, one line, when the file is missing, damaged, or
  // has something that is not supported: nothing is skipped.
  static Tokenizer load(const std::string& source);
  // The content of a tokenizer.json; `file` names it in errors. One that means bytes() is bytes().
  static Tokenizer parse(std::string_view json, const std::string& file);
  // 256 tokens that are bytes, and 256, the end of a document. Any bytes survive encoding and decoding.
  static Tokenizer bytes();

  const std::string& name() const { return name_; }  // "byte", or of the file: "allenai_dolma2"
  // Of the file's content, hexadecimal; of bytes(), the same whether it was named or read from its file.
  const std::string& sha256() const { return sha256_; }
  // The tokenizer.json itself, to be written beside what was made with it; of bytes(), one that means the
  // same.
  const std::string& json() const { return *json_; }
  int32_t vocab_size() const {
    return static_cast<int32_t>(bytes_of_.size());
  }  // the largest id, and one more
  // The id that ends a document, known by one of its usual names (<|endoftext|>, </s>, ...).
  std::optional<int32_t> eos_id() const { return eos_id_; }
  // The id of an added token, or of a token as the file writes it.
  std::optional<int32_t> id_of(std::string_view token) const;
  bool is_special(int32_t id) const;
  // What a token stands for; it need not be whole UTF-8. Empty for ids without a token.
  std::string_view bytes_of(int32_t id) const;

  // Ids of a text, without any that mark its begin or end. Invalid UTF-8 is read as U+FFFD, except by
  // `bytes()`. Encoder does the same faster for more than one text.
  std::vector<int32_t> encode(std::string_view text) const;
  // UTF-8; each longest piece that is not becomes U+FFFD.
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

// What Tokenizer::sha256 is now of a tokenizer that had `sha256` in an earlier version, to which the file of
// bytes() was another tokenizer.
std::string_view same_tokenizer_sha256(std::string_view sha256);

// Encodes text after text and remembers words. One for each thread.
class Encoder {
 public:
  explicit Encoder(const Tokenizer& tokenizer);
  ~Encoder();
  Encoder(Encoder&&) noexcept;

  // Appends the ids of `text` to `ids`. Returns how many pieces of it were not UTF-8.
  size_t encode(std::string_view text, std::vector<int32_t>& ids);

 private:
  struct Scratch;

  Tokenizer tokenizer_;
  std::unique_ptr<Scratch> scratch_;
};

// Decodes a token at a time, for text that appears as it is generated: the parts put together are what
// Tokenizer::decode gives.
class StreamDecoder {
 public:
  explicit StreamDecoder(Tokenizer tokenizer, bool keep_special = true)
      : tokenizer_(std::move(tokenizer)), keep_special_(keep_special) {}

  // The text that is certain now; bytes that may begin a character wait for the next token.
  std::string push(int32_t id);
  // What still waits, as U+FFFD.
  std::string finish();

 private:
  Tokenizer tokenizer_;
  bool keep_special_;
  std::string waiting_;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_DATA_TOKENIZER_TOKENIZER_H_

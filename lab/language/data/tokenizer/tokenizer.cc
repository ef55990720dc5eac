#include "lab/language/data/tokenizer/tokenizer.h"

#include <nlohmann/json.hpp>

#include "lab/base/file.h"
#include "lab/base/sha256.h"
#include "lab/base/utf8.h"
#include "lab/language/data/tokenizer/bpe_tokenizer.h"
#include "lab/language/data/tokenizer/byte_alphabet.h"
#include "lab/language/data/tokenizer/normalize.h"

namespace seednorm::lab {
namespace {

constexpr size_t kMaxFileBytes = size_t{256} << 20;  // the largest in use have 40 MB
constexpr std::string_view kByteEos = "<|endoftext|>";

// BPE without merges, with the bytes as tokens.
nlohmann::json byte_tokenizer_json() {
  nlohmann::json vocab = nlohmann::json::object();
  for (int byte = 0; byte < 256; ++byte) {
    std::string token;
    append_utf8(kByteAlphabet[byte], token);
    vocab[token] = byte;
  }
  const nlohmann::json level = {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", false}};
  const nlohmann::json eos = {{"id", 256},       {"content", kByteEos}, {"single_word", false},
                              {"lstrip", false}, {"rstrip", false},     {"normalized", false},
                              {"special", true}};
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", nlohmann::json::array({eos})},
          {"normalizer", nullptr},
          {"pre_tokenizer", level},
          {"post_processor", nullptr},
          {"decoder", level},
          {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", nlohmann::json::array()}}}};
}

const std::string& byte_tokenizer_file() {
  static const std::string text = byte_tokenizer_json().dump(1) + "\n";
  return text;
}

const std::string& byte_sha256() {
  static const std::string sum = sha256_hex("seednorm byte tokenizer 1");
  return sum;
}

}  // namespace

Tokenizer Tokenizer::load(const std::string& source) {
  return source == "byte" ? bytes() : parse(read_file(source, kMaxFileBytes), source);
}

Tokenizer Tokenizer::bytes() {
  Tokenizer tokenizer;
  tokenizer.name_ = "byte";
  tokenizer.sha256_ = byte_sha256();
  for (int byte = 0; byte < 256; ++byte) tokenizer.bytes_of_.emplace_back(1, static_cast<char>(byte));
  tokenizer.bytes_of_.emplace_back(kByteEos);
  tokenizer.special_.assign(257, false);
  tokenizer.special_[256] = true;
  tokenizer.eos_id_ = 256;
  tokenizer.json_ = std::make_shared<const std::string>(byte_tokenizer_file());
  return tokenizer;
}

bool Tokenizer::is_bytes(const nlohmann::json& json) {
  static const nlohmann::json bytes = byte_tokenizer_json();
  const auto same = [&](const nlohmann::json::json_pointer& field) {
    return json.contains(field) && json.at(field) == bytes.at(field);
  };
  for (const char* field : {"/added_tokens", "/normalizer", "/pre_tokenizer/type", "/pre_tokenizer/use_regex",
                            "/pre_tokenizer/add_prefix_space", "/model/vocab", "/model/merges"}) {
    if (!same(nlohmann::json::json_pointer(field))) return false;
  }
  return true;
}

std::string_view same_tokenizer_sha256(std::string_view sha256) {
  static const std::string of_file = sha256_hex(byte_tokenizer_file());
  return sha256 == of_file ? std::string_view(byte_sha256()) : sha256;
}

std::optional<int32_t> Tokenizer::id_of(std::string_view token) const {
  if (bpe_ == nullptr) {
    if (token == kByteEos) return 256;
    if (token.size() == 1) return static_cast<unsigned char>(token[0]);
    return std::nullopt;
  }
  const auto found = bpe_->id_of.find(std::string(token));
  if (found == bpe_->id_of.end()) return std::nullopt;
  return found->second;
}

bool Tokenizer::is_special(int32_t id) const { return id >= 0 && id < vocab_size() && special_[id]; }

std::string_view Tokenizer::bytes_of(int32_t id) const {
  if (id < 0 || id >= vocab_size()) return {};
  return bytes_of_[id];
}

std::vector<int32_t> Tokenizer::encode(std::string_view text) const {
  std::vector<int32_t> ids;
  Encoder(*this).encode(text, ids);
  return ids;
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool keep_special) const {
  std::string bytes, text;
  for (const int32_t id : ids) {
    if (keep_special || !is_special(id)) bytes += bytes_of(id);
  }
  append_lossy_utf8(bytes, text);
  return text;
}

// Buffers of one encoder; pieces refer to the text, to `valid` or to the others.
struct Encoder::Scratch {
  explicit Scratch(const BpeTokenizer& tokenizer) : bpe(tokenizer.model) {
    for (const RegexSplit& split : tokenizer.splits) regex.emplace_back(split);
    words.resize(tokenizer.splits.size() + 1);
  }

  // Cuts `text` by the splits from `stage` on and encodes the words.
  void encode_words(const BpeTokenizer& tokenizer, std::string_view text, size_t stage,
                    std::vector<int32_t>& ids) {
    std::string with_space;
    if (tokenizer.add_prefix_space && stage == tokenizer.splits_before_prefix && !text.starts_with(' ')) {
      text = with_space.append(1, ' ').append(text);
    }
    if (stage == tokenizer.splits.size()) return bpe.encode(text, ids);
    std::vector<std::string_view>& pieces = words[stage];
    pieces.clear();
    tokenizer.splits[stage].split(text, regex[stage], pieces);
    for (const std::string_view piece : pieces) encode_words(tokenizer, piece, stage + 1, ids);
  }

  BpeEncoder bpe;
  std::vector<RegexSplit::Scratch> regex;
  std::vector<std::vector<std::string_view>> words;  // of each stage
  std::vector<AddedTokenFinder::Piece> raw_pieces, normalized_pieces;
  std::string valid, normalized;
};

Encoder::Encoder(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {
  if (tokenizer_.bpe_ != nullptr) scratch_ = std::make_unique<Scratch>(*tokenizer_.bpe_);
}
Encoder::~Encoder() = default;
Encoder::Encoder(Encoder&&) noexcept = default;

size_t Encoder::encode(std::string_view text, std::vector<int32_t>& ids) {
  if (scratch_ == nullptr) {
    for (const char c : text) ids.push_back(static_cast<unsigned char>(c));
    return 0;
  }
  const BpeTokenizer& bpe = *tokenizer_.bpe_;
  Scratch& scratch = *scratch_;
  size_t replaced = 0;
  if (valid_utf8_size(text) != text.size()) {
    scratch.valid.clear();
    replaced = append_lossy_utf8(text, scratch.valid);
    text = scratch.valid;
  }
  scratch.raw_pieces.clear();
  bpe.raw_tokens.split(text, scratch.raw_pieces);
  for (const auto& raw : scratch.raw_pieces) {
    if (raw.id >= 0) {
      ids.push_back(raw.id);
      continue;
    }
    scratch.normalized_pieces.clear();
    bpe.normalized_tokens.split(bpe.normalize_nfc ? nfc(raw.text, scratch.normalized) : raw.text,
                                scratch.normalized_pieces);
    for (const auto& piece : scratch.normalized_pieces) {
      if (piece.id >= 0) {
        ids.push_back(piece.id);
      } else {
        scratch.encode_words(bpe, piece.text, 0, ids);
      }
    }
  }
  return replaced;
}

std::string StreamDecoder::push(int32_t id) {
  if (!keep_special_ && tokenizer_.is_special(id)) return {};
  waiting_ += tokenizer_.bytes_of(id);
  // The last character may be incomplete, with at most three bytes.
  size_t certain = waiting_.size();
  for (size_t back = 1; back <= 3 && back <= waiting_.size(); ++back) {
    const size_t begin = waiting_.size() - back;
    const Utf8Piece piece = next_utf8(std::string_view(waiting_).substr(begin));
    if (piece.state == Utf8Piece::kIncomplete && static_cast<size_t>(piece.size) == back) certain = begin;
  }
  std::string text;
  append_lossy_utf8(std::string_view(waiting_).substr(0, certain), text);
  waiting_.erase(0, certain);
  return text;
}

std::string StreamDecoder::finish() {
  std::string text;
  append_lossy_utf8(waiting_, text);
  waiting_.clear();
  return text;
}

}  // namespace seednorm::lab

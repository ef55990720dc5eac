#include "lab/language/data/token_stream.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <stdexcept>

#include "lab/base/error.h"
#include "lab/base/file.h"
#include "lab/base/sha256.h"
#include "lab/language/data/shard_index.h"
#include "lab/language/data/tokenizer/tokenizer.h"

namespace seednorm::lab {
namespace fs = std::filesystem;
namespace {

constexpr size_t kMaxInfoBytes = size_t{256} << 20, kMaxIndexBytes = size_t{16} << 30;
constexpr size_t kPieceBytes = size_t{1} << 20;  // read at a time

}  // namespace

struct TokenStream::Shard {
  Shard(std::string name, TokenType token_type) : file(std::move(name)), type(token_type), bytes(file) {
    const auto size = static_cast<int64_t>(bytes.size());
    if (size % bytes_per_token(type) != 0) {
      throw UserError(file + ": " + std::to_string(size) + " bytes are no whole number of " + name_of(type) +
                      " tokens; it is torn, or of another type");
    }
    num_tokens = size / bytes_per_token(type);
  }

  void open_index(const TokenSetInfo::Shard& info) {
    const auto torn = [](const std::string& name) {
      return UserError(name + ": is torn or was altered; tokenize the text again");
    };
    if (num_tokens != info.tokens) throw torn(file);
    const std::string index_file = fs::path(file).replace_extension(".idx").string();
    index_bytes = read_file(index_file, kMaxIndexBytes);
    if (crc32_of(index_bytes) != info.index_crc32) throw torn(index_file);
    index = ShardIndex::parse(index_bytes, static_cast<int64_t>(bytes.size()), index_file);
    if (index.num_tokens() != info.tokens || index.num_documents() != info.documents) throw torn(index_file);
    crc32 = info.crc32;
    checked = std::vector<std::atomic<bool>>(index.num_blocks());
  }

  enum class Check { kOnce, kAgain };

  // Compares the blocks with bytes begin .. end - 1 with their checksums.
  void check(int64_t begin, int64_t end, Check which = Check::kOnce) const {
    if (checked.empty() || begin == end) return;
    const int64_t size = index.block_bytes();
    std::vector<char> piece(kPieceBytes);
    for (int64_t block = begin / size; block <= (end - 1) / size; ++block) {
      // Two threads may both check a block, with the same result.
      if (which == Check::kOnce && checked[block].load(std::memory_order_relaxed)) continue;
      const auto first = static_cast<size_t>(block * size);
      const size_t last = std::min(first + static_cast<size_t>(size), bytes.size());
      uint32_t sum = 0;
      for (size_t at = first; at < last; at += piece.size()) {
        const size_t count = std::min(piece.size(), last - at);
        bytes.read(at, piece.data(), count);
        sum = crc32_of({piece.data(), count}, sum);
      }
      if (sum != index.block_crc32(block)) {
        throw UserError(file + ": was altered near byte " + std::to_string(block * size) +
                        " (checksum); tokenize the text again");
      }
      checked[block].store(true, std::memory_order_relaxed);
    }
  }

  std::string file;
  TokenType type;
  InputFile bytes;
  int64_t num_tokens = 0;
  int64_t first_token = 0, first_document = 0;  // in the stream

  std::string index_bytes;  // empty: raw
  ShardIndex index;
  uint32_t crc32 = 0;
  mutable std::vector<std::atomic<bool>> checked;
};

Tokenizer tokenizer_of_set(const std::string& folder) {
  const std::string file = (fs::path(folder) / kTokenSetFile).string();
  const TokenSetInfo info = TokenSetInfo::parse(read_file(file, kMaxInfoBytes), file);
  const std::string tokenizer_file = (fs::path(folder) / kTokenizerFile).string();
  Tokenizer tokenizer = Tokenizer::load(tokenizer_file);
  if (tokenizer.sha256() != info.tokenizer_sha256) {
    throw UserError(tokenizer_file +
                    ": is not the tokenizer that the shards beside it were made with (sha256 " +
                    tokenizer.sha256().substr(0, 12) + "..., expected " +
                    info.tokenizer_sha256.substr(0, 12) + "...); put that one back");
  }
  return tokenizer;
}

TokenStream::TokenStream() = default;
TokenStream::~TokenStream() = default;
TokenStream::TokenStream(TokenStream&&) noexcept = default;
TokenStream& TokenStream::operator=(TokenStream&&) noexcept = default;

TokenStream TokenStream::open(const std::vector<std::string>& folders) {
  if (folders.empty()) throw UserError("no token sets are named");
  TokenStream stream;
  for (const std::string& folder : folders) {
    const fs::path json = fs::path(folder) / kTokenSetFile;
    if (!fs::exists(json)) {
      throw UserError(folder + ": has no " + kTokenSetFile + "; `seednorm data tokenize` makes token sets");
    }
    TokenSetInfo info = TokenSetInfo::parse(read_file(json, kMaxInfoBytes), json.string());
    if (!stream.sets_.empty() && info.tokenizer_sha256 != stream.sets_[0].tokenizer_sha256) {
      throw UserError(folder + ": was made with tokenizer " + info.tokenizer + ", and " + folders[0] +
                      " with " + stream.sets_[0].tokenizer + "; tokenize both with one");
    }
    stream.vocab_size_ = info.vocab_size;
    stream.eos_id_ = info.eos_id;
    for (const TokenSetInfo::Shard& part : info.shards) {
      auto shard = std::make_unique<Shard>((fs::path(folder) / part.file).string(), info.type);
      shard->open_index(part);
      stream.add_shard(std::move(shard));
    }
    stream.sets_.push_back(std::move(info));
  }
  return stream;
}

TokenStream TokenStream::open_raw(const std::vector<std::string>& files, const Raw& raw) {
  if (files.empty()) throw UserError("no token files are named");
  if (raw.vocab_size < 1) throw std::invalid_argument("vocab_size: expected at least 1");
  TokenStream stream;
  stream.vocab_size_ = raw.vocab_size;
  stream.eos_id_ = raw.eos_id;
  for (const std::string& file : files) stream.add_shard(std::make_unique<Shard>(file, raw.type));
  return stream;
}

void TokenStream::add_shard(std::unique_ptr<Shard> shard) {
  if (shard->num_tokens == 0) return;
  shard->first_token = num_tokens_;
  shard->first_document = num_documents_;
  num_tokens_ += shard->num_tokens;
  num_documents_ += shard->index.num_documents();
  shards_.push_back(std::move(shard));
}

size_t TokenStream::shard_of(int64_t token) const {
  const auto after = std::upper_bound(shards_.begin(), shards_.end(), token,
                                      [](int64_t t, const auto& shard) { return t < shard->first_token; });
  return static_cast<size_t>(after - shards_.begin()) - 1;
}

template <typename Id>
void TokenStream::read_as(int64_t begin, std::span<Id> out) const {
  if (begin < 0 || static_cast<int64_t>(out.size()) > num_tokens_ - begin) {
    throw std::out_of_range("tokens " + std::to_string(begin) + " and " + std::to_string(out.size()) +
                            " more are not in a stream of " + std::to_string(num_tokens_));
  }
  std::vector<char> buffer;
  size_t done = 0;
  for (size_t i = out.empty() ? shards_.size() : shard_of(begin); done < out.size(); ++i) {
    const Shard& shard = *shards_[i];
    const int64_t first = begin + static_cast<int64_t>(done) - shard.first_token;
    const int64_t count =
        std::min<int64_t>(shard.num_tokens - first, static_cast<int64_t>(out.size() - done));
    const int64_t width = bytes_per_token(shard.type);
    shard.check(first * width, (first + count) * width);
    buffer.resize(static_cast<size_t>(count * width));
    shard.bytes.read(static_cast<size_t>(first * width), buffer.data(), buffer.size());
    const char* from = buffer.data();
    for (int64_t k = 0; k < count; ++k, from += width) {
      uint32_t id = 0;
      std::memcpy(&id, from, static_cast<size_t>(width));
      if (id >= static_cast<uint32_t>(vocab_size_)) {
        throw UserError(shard.file + ": token " + std::to_string(first + k) + " is " + std::to_string(id) +
                        ", but the vocabulary has " + std::to_string(vocab_size_) +
                        "; the shard is of another tokenizer or type");
      }
      out[done++] = static_cast<Id>(id);
    }
  }
}

void TokenStream::read(int64_t begin, std::span<int64_t> out) const { read_as(begin, out); }
void TokenStream::read(int64_t begin, std::span<int32_t> out) const { read_as(begin, out); }

TokenStream::Range TokenStream::document(int64_t document) const {
  if (document < 0 || document >= num_documents_)
    throw std::out_of_range("no document " + std::to_string(document));
  const auto after = std::upper_bound(shards_.begin(), shards_.end(), document,
                                      [](int64_t d, const auto& shard) { return d < shard->first_document; });
  const Shard& shard = **(after - 1);
  const int64_t local = document - shard.first_document;
  const int64_t begin = shard.index.document_begin(local);
  const int64_t end =
      local + 1 < shard.index.num_documents() ? shard.index.document_begin(local + 1) : shard.num_tokens;
  return {shard.first_token + begin, shard.first_token + end};
}

void TokenStream::verify() const {
  for (const auto& shard : shards_) {
    shard->check(0, static_cast<int64_t>(shard->bytes.size()), Shard::Check::kAgain);
  }
}

void TokenStream::check_tokenizer(const Tokenizer& tokenizer) const {
  if (sets_.empty() && tokenizer.vocab_size() > vocab_size_) {
    throw UserError("tokenizer " + tokenizer.name() + ": has " + std::to_string(tokenizer.vocab_size()) +
                    " tokens, and the shards are said to have " + std::to_string(vocab_size_));
  }
  for (const TokenSetInfo& set : sets_) {
    if (set.tokenizer_sha256 == tokenizer.sha256()) continue;
    throw UserError("tokenizer " + tokenizer.name() + ": the shards were made with " + set.tokenizer +
                    " (sha256 " + set.tokenizer_sha256.substr(0, 12) + "...), this one is " +
                    tokenizer.sha256().substr(0, 12) + "...; name the same tokenizer");
  }
}

std::string TokenStream::fingerprint() const {
  Sha256 sha;
  for (const auto& shard : shards_) {
    const std::string name = shard->index_bytes.empty() ? fs::path(shard->file).filename().string() : "";
    sha.update(name + " " + name_of(shard->type) + " " + std::to_string(shard->num_tokens) + " " +
               std::to_string(shard->crc32) + "\n");
  }
  return sha.hex();
}

}  // namespace seednorm::lab

#include "lab/language/data/shard_writer.h"

#include <zlib.h>

#include <algorithm>
#include <cstdio>

#include "lab/base/error.h"
#include "lab/language/data/entropy.h"
#include "lab/language/data/shard_index.h"

namespace seednorm::lab {
namespace {

template <typename T>
void pack(std::span<const int32_t> ids, std::string& out) {
  const size_t before = out.size();
  out.resize(before + ids.size() * sizeof(T));
  char* to = out.data() + before;
  for (const int32_t id : ids) {
    const T value = static_cast<T>(id);
    std::copy_n(reinterpret_cast<const char*>(&value), sizeof value, to);
    to += sizeof value;
  }
}

}  // namespace

ShardWriter::ShardWriter(std::filesystem::path folder, const Tokenizer& tokenizer, int64_t max_tokens)
    : folder_(std::move(folder)), max_tokens_(max_tokens), counts_(tokenizer.vocab_size()) {
  const std::optional<int32_t> eos = tokenizer.eos_id();
  if (!eos.has_value()) {
    throw UserError(
        "tokenizer " + tokenizer.name() +
        ": has no token that ends documents; expected one of the usual names, such as <|endoftext|>");
  }
  info_.tokenizer = tokenizer.name();
  info_.tokenizer_sha256 = tokenizer.sha256();
  info_.vocab_size = tokenizer.vocab_size();
  info_.eos_id = eos_ = *eos;
  info_.type = tokenizer.vocab_size() <= 65536 ? TokenType::kUint16 : TokenType::kUint32;
}
ShardWriter::~ShardWriter() = default;

void ShardWriter::open() {
  char name[32];
  std::snprintf(name, sizeof name, "%05zu.bin", info_.shards.size());
  file_ = std::make_unique<OutputFile>(folder_ / name);
  shard_ = {.file = name};
  document_begins_.clear();
  block_crc32_.clear();
  block_.clear();
}

void ShardWriter::append(std::string_view bytes) {
  file_->write(bytes);
  while (!bytes.empty()) {
    const size_t count = std::min(bytes.size(), kShardBlockBytes - block_.size());
    block_ += bytes.substr(0, count);
    bytes.remove_prefix(count);
    if (block_.size() < kShardBlockBytes) continue;
    block_crc32_.push_back(crc32_of(block_));
    block_.clear();
  }
}

void ShardWriter::add(std::span<const int32_t> ids, const std::string& source, size_t text_bytes) {
  if (file_ == nullptr) open();
  packed_.clear();
  if (info_.type == TokenType::kUint16) {
    pack<uint16_t>(ids, packed_);
    pack<uint16_t>({&eos_, 1}, packed_);
  } else {
    pack<uint32_t>(ids, packed_);
    pack<uint32_t>({&eos_, 1}, packed_);
  }
  for (const int32_t id : ids) ++counts_[id];
  ++counts_[eos_];
  document_begins_.push_back(static_cast<uint64_t>(shard_.tokens));
  append(packed_);
  const auto num_tokens = static_cast<int64_t>(ids.size()) + 1;
  shard_.tokens += num_tokens;
  ++shard_.documents;
  info_.tokens += num_tokens;
  ++info_.documents;
  info_.text_bytes += static_cast<int64_t>(text_bytes);
  if (info_.sources.empty() || info_.sources.back().file != source) info_.sources.push_back({.file = source});
  TokenSetInfo::Source& last = info_.sources.back();
  ++last.documents;
  last.tokens += num_tokens;
  last.text_bytes += static_cast<int64_t>(text_bytes);
  if (shard_.tokens >= max_tokens_) close();
}

void ShardWriter::close() {
  if (!block_.empty()) block_crc32_.push_back(crc32_of(block_));
  const int64_t shard_bytes = shard_.tokens * bytes_per_token(info_.type);
  shard_.crc32 = 0;
  for (size_t i = 0; i < block_crc32_.size(); ++i) {
    const int64_t begin = static_cast<int64_t>(i) * kShardBlockBytes;
    const int64_t size = std::min(kShardBlockBytes, shard_bytes - begin);
    shard_.crc32 = static_cast<uint32_t>(crc32_combine(shard_.crc32, block_crc32_[i], size));
  }
  file_->close();
  file_.reset();
  const std::string index = write_shard_index(shard_.tokens, document_begins_, block_crc32_);
  shard_.index_crc32 = crc32_of(index);
  OutputFile index_file((folder_ / shard_.file).replace_extension(".idx"));
  index_file.write(index);
  index_file.close();
  info_.shards.push_back(shard_);
}

TokenSetInfo ShardWriter::finish() {
  if (file_ != nullptr) close();
  info_.unigram_entropy = unigram_entropy(counts_);
  OutputFile file(folder_ / kTokenSetFile);
  file.write(info_.to_json().dump(2, ' ', true, nlohmann::json::error_handler_t::replace) + "\n");
  file.close();
  return info_;
}

}  // namespace seednorm::lab

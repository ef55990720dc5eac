#include "lab/language/eval/perplexity_set.h"

#include <algorithm>
#include <filesystem>

#include "lab/base/error.h"
#include "lab/base/file.h"
#include "lab/base/sha256.h"
#include "lab/language/data/reader.h"

namespace seednorm::lab {
namespace {

namespace fs = std::filesystem;

struct NamedSet {
  const char* name;
  const char* place;
};
constexpr NamedSet kSets[] = {
#define SEEDNORM_SET(name, place) {#name, place},
#include "lab/language/eval/sets.def"
#undef SEEDNORM_SET
};

// One of: a text file, a folder of token shards, token files.
struct Found {
  fs::path text, shards;
  std::vector<std::string> token_files;
};

std::vector<std::string> token_files_below(const fs::path& folder) {
  std::vector<std::string> out;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.path().extension() == ".npy") out.push_back(entry.path().string());
  }
  std::sort(out.begin(), out.end());
  return out;
}

std::optional<Found> look(const fs::path& path) {
  if (fs::exists(path / kTokenSetFile)) return Found{.shards = path};
  if (fs::is_directory(path)) {
    Found found{.token_files = token_files_below(path)};
    if (!found.token_files.empty()) return found;
  }
  for (const char* form : {"", ".jsonl", ".json", ".txt"}) {
    for (const char* packing : {"", ".gz", ".zst"}) {
      fs::path file = path;
      file += std::string(form) + packing;
      if (fs::is_regular_file(file)) return Found{.text = file};
    }
  }
  fs::path file = path;
  file += ".npy";
  if (fs::is_regular_file(file)) return Found{.token_files = {file.string()}};
  return std::nullopt;
}

std::optional<Found> find_set(const DataFolder& folder, const std::string& name) {
  const auto listed =
      std::find_if(std::begin(kSets), std::end(kSets), [&](const NamedSet& s) { return s.name == name; });
  if (listed != std::end(kSets)) {
    if (auto found = look(folder.path() / listed->place)) return found;
    // In a folder of its own too, without the folders above it.
    if (auto found = look(folder.path() / fs::path(listed->place).filename())) return found;
  }
  // The name must not be a path to another folder.
  const bool is_plain = !name.empty() && plain_file_name(name) == name && !name.starts_with('.');
  return is_plain ? look(folder.path() / name) : std::nullopt;
}

std::vector<int32_t> encode_text(const fs::path& file, const Tokenizer& tokenizer, int64_t max_tokens) {
  const std::optional<int32_t> eos = tokenizer.eos_id();
  if (!eos)
    throw UserError(file.string() + ": the tokenizer " + tokenizer.name() +
                    " has no token that ends a document");
  std::vector<int32_t> ids;
  Encoder encoder(tokenizer);
  RecordReader reader({file.string()});
  for (Record record;
       (max_tokens == 0 || static_cast<int64_t>(ids.size()) < max_tokens) && reader.next(record);) {
    encoder.encode(text_of(record, reader, "text"), ids);
    if (ids.empty() || ids.back() != *eos) ids.push_back(*eos);
  }
  return ids;
}

TokenStream open_tokens(const Found& found, const Tokenizer& tokenizer) {
  if (!found.shards.empty()) return TokenStream::open({found.shards.string()});
  for (const std::string& file : found.token_files) {
    if (MappedFile(file).bytes().starts_with("\x93NUMPY")) {
      throw UserError(file + ": starts with NumPy's header; expected only ids, as in OLMo's token files");
    }
  }
  const TokenType type = tokenizer.vocab_size() <= 65536 ? TokenType::kUint16 : TokenType::kUint32;
  return TokenStream::open_raw(
      found.token_files, {.type = type, .vocab_size = tokenizer.vocab_size(), .eos_id = tokenizer.eos_id()});
}

}  // namespace

std::vector<std::string> known_sets() {
  std::vector<std::string> out;
  for (const NamedSet& set : kSets) out.emplace_back(set.name);
  return out;
}

bool has_set(const DataFolder& folder, const std::string& name) { return find_set(folder, name).has_value(); }

PerplexitySet::PerplexitySet(const DataFolder& folder, const std::string& name, const Tokenizer& tokenizer,
                             int64_t chunk_tokens, int64_t max_chunks)
    : name_(name), chunk_tokens_(chunk_tokens) {
  const auto found = find_set(folder, name);
  if (!found) throw UserError(folder.path().string() + ": has no set " + quote(name));
  int64_t tokens = 0;
  if (!found->text.empty()) {
    ids_ = encode_text(found->text, tokenizer, max_chunks * chunk_tokens);
    tokens = static_cast<int64_t>(ids_.size());
  } else {
    stream_ = open_tokens(*found, tokenizer);
    stream_->check_tokenizer(tokenizer);
    tokens = stream_->num_tokens();
  }
  num_chunks_ = tokens / chunk_tokens;
  if (num_chunks_ == 0) {
    throw UserError(folder.path().string() + ": the set " + name + " has " + std::to_string(tokens) +
                    " tokens, fewer than the " + std::to_string(chunk_tokens) +
                    " of one chunk; lower it with --context");
  }
  if (max_chunks > 0) num_chunks_ = std::min(num_chunks_, max_chunks);
}

std::string PerplexitySet::fingerprint() const {
  Sha256 sha;
  sha.update(name_ + " " + std::to_string(chunk_tokens_) + " " + std::to_string(num_chunks_) + "\n");
  if (stream_) sha.update(stream_->fingerprint());
  sha.update({reinterpret_cast<const char*>(ids_.data()), ids_.size() * sizeof(int32_t)});
  return sha.hex();
}

void PerplexitySet::read_chunk(int64_t chunk, std::span<int64_t> out) const {
  const int64_t begin = chunk * chunk_tokens_;
  if (stream_) return stream_->read(begin, out);
  std::copy_n(ids_.begin() + begin, chunk_tokens_, out.begin());
}

}  // namespace seednorm::lab

// Reads tokenizer.json. Any part that would change an id and is not implemented is refused by name.
#include <algorithm>
#include <filesystem>
#include <stdexcept>
#include <unordered_map>
#include <unordered_set>

#include "lab/base/error.h"
#include "lab/base/json_field.h"
#include "lab/base/sha256.h"
#include "lab/base/utf8.h"
#include "lab/language/data/tokenizer/bpe_tokenizer.h"
#include "lab/language/data/tokenizer/byte_alphabet.h"
#include "lab/language/data/tokenizer/normalize.h"
#include "lab/language/data/tokenizer/tokenizer.h"

namespace seednorm::lab {
namespace {

constexpr int32_t kMaxId = (1 << 24) - 1;
constexpr std::string_view kEosNames[] = {"<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>", "<|eos|>"};
// The expression by which ByteLevel splits if `use_regex` is set.
constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

// "allenai_dolma2" of a file of that name; the folder's where all files have the same.
std::string name_of(const std::string& file) {
  const std::filesystem::path path(file);
  const std::string stem = path.stem().string();
  const std::string folder = path.parent_path().filename().string();
  return stem == "tokenizer" && !folder.empty() ? folder : stem;
}

const std::string& type_of(const JsonField& field) { return field["type"].string(); }

[[noreturn]] void refuse(const JsonField& field, const std::string& value) {
  field.fail(quote(value) + " is not supported");
}

bool flag(const JsonField& field, std::string_view key, bool fallback) {
  const JsonField value = field.find(key);
  return value.is_null() ? fallback : value.boolean();
}

void require_null(const JsonField& root, std::string_view key) {
  const JsonField field = root.find(key);
  if (!field.is_null()) field.fail("is not supported; expected null");
}

void require_empty(const JsonField& root, std::string_view key) {
  const JsonField field = root.find(key);
  if (!field.is_null() && !field.string().empty()) field.fail("is not supported; expected null");
}

void require_false(const JsonField& root, std::string_view key) {
  if (flag(root, key, false)) root[key].fail("true is not supported");
}

}  // namespace

class TokenizerParser {
 public:
  TokenizerParser(const nlohmann::json& json, const std::string& file) : root_(json, file) {}

  Tokenizer run() {
    check_rest();
    read_vocabulary();
    BpeTokenizer bpe{.model = read_model()};
    read_normalizer(bpe);
    read_pre_tokenizer(bpe);
    read_added_tokens(bpe);
    for (const std::string_view name : kEosNames) {
      const auto found = id_of_.find(std::string(name));
      if (found == id_of_.end()) continue;
      result_.eos_id_ = found->second;
      break;
    }
    bpe.id_of = std::move(id_of_);
    result_.bpe_ = std::make_shared<const BpeTokenizer>(std::move(bpe));
    return std::move(result_);
  }

 private:
  void check_rest() {
    // Left over from a use of the tokenizer, and set again by the next one. Texts are not truncated or padded
    // here.
    for (const char* key : {"truncation", "padding"}) {
      if (const JsonField field = root_.find(key); !field.is_null()) field.object();
    }
    if (const JsonField processor = root_.find("post_processor"); !processor.is_null()) {
      check_post_processor(processor);
    }
    const JsonField decoder = root_["decoder"];
    if (decoder.is_null()) decoder.fail("null is not supported; expected ByteLevel");
    if (type_of(decoder) != "ByteLevel") refuse(decoder["type"], type_of(decoder));
    const JsonField model = root_["model"];
    // Old files do not have this field.
    if (const JsonField type = model.find("type"); !type.is_null() && type.string() != "BPE") {
      refuse(type, type.string());
    }
    for (const char* key : {"dropout", "unk_token"}) require_null(model, key);
    for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) require_empty(model, key);
    for (const char* key : {"fuse_unk", "byte_fallback"}) require_false(model, key);
  }

  // Those that add no token are known.
  static void check_post_processor(const JsonField& processor) {
    const std::string& type = type_of(processor);
    if (type == "ByteLevel") return;  // moves offsets only
    if (type == "Sequence") {
      const JsonField steps = processor["processors"];
      for (size_t i = 0; i < steps.array().size(); ++i) check_post_processor(steps[i]);
    } else if (type == "TemplateProcessing") {
      const JsonField single = processor["single"];
      const bool adds_nothing = single.array().size() == 1 && single[0].object().contains("Sequence");
      if (!adds_nothing) single.fail("adds tokens to the text, which is not supported");
    } else {
      refuse(processor["type"], type);
    }
  }

  // Names token `id`; `where` is the field for errors.
  void name_token(const JsonField& where, const std::string& token, int32_t id) {
    if (static_cast<size_t>(id) >= result_.bytes_of_.size()) {
      result_.bytes_of_.resize(id + 1);
      result_.special_.resize(id + 1);
      taken_.resize(id + 1);
    }
    if (taken_[id])
      where.fail("id " + std::to_string(id) + " is given to two tokens, one is " + quote(token));
    taken_[id] = true;
    id_of_.emplace(token, id);
    // A token with a character outside of the byte alphabet stands for itself.
    result_.bytes_of_[id] = bytes_of_alphabet(token).value_or(token);
  }

  void read_vocabulary() {
    const JsonField vocab = root_["model"]["vocab"];
    for (const auto& [token, id] : vocab.object().items()) {
      // No field is created for each, since there are 100,000.
      const bool valid = id.is_number_unsigned() && id.get<uint64_t>() <= kMaxId;
      if (!valid)
        vocab.fail("token " + quote(token) + ": expected an id from 0 to " + std::to_string(kMaxId));
      name_token(vocab, token, id.get<int32_t>());
    }
    next_added_id_ = static_cast<int32_t>(vocab.size());
  }

  BpeModel read_model() {
    const JsonField merges = root_["model"]["merges"];
    std::array<int32_t, 256> id_of_byte;
    for (int byte = 0; byte < 256; ++byte) {
      std::string token;
      append_utf8(kByteAlphabet[byte], token);
      const auto found = id_of_.find(token);
      id_of_byte[byte] = found == id_of_.end() ? -1 : found->second;
    }
    BpeModel model(id_of_byte, merges.array().size());
    for (size_t i = 0; i < merges.size(); ++i) {
      const auto [left, right] = merge_parts(merges, i);
      const int32_t left_id = merge_token(merges, i, left), right_id = merge_token(merges, i, right);
      model.add_merge(left_id, right_id, {static_cast<int32_t>(i), merge_token(merges, i, left + right)});
    }
    if (flag(root_["model"], "ignore_merges", false)) {
      for (const auto& [token, id] : id_of_) {
        if (auto bytes = bytes_of_alphabet(token)) model.add_whole_word(*std::move(bytes), id);
      }
    }
    return model;
  }

  // "a b", or since 2024 ["a", "b"].
  static std::pair<std::string, std::string> merge_parts(const JsonField& merges, size_t i) {
    const nlohmann::json& merge = merges.array()[i];
    if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
      return {merge[0].get<std::string>(), merge[1].get<std::string>()};
    }
    if (merge.is_string()) {
      const auto& text = merge.get_ref<const std::string&>();
      const size_t space = text.find(' ');
      if (space != std::string::npos && text.find(' ', space + 1) == std::string::npos) {
        return {text.substr(0, space), text.substr(space + 1)};
      }
    }
    merges[i].fail("expected two tokens, \"a b\" or [\"a\", \"b\"]");
  }

  int32_t merge_token(const JsonField& merges, size_t i, const std::string& token) const {
    const auto found = id_of_.find(token);
    if (found == id_of_.end()) merges[i].fail("names " + quote(token) + ", which is not in model.vocab");
    return found->second;
  }

  void read_normalizer(BpeTokenizer& bpe) {
    const JsonField normalizer = root_.find("normalizer");
    if (normalizer.is_null()) return;
    if (type_of(normalizer) != "NFC") refuse(normalizer["type"], type_of(normalizer));
    bpe.normalize_nfc = true;
  }

  // Any number of splits, followed by ByteLevel, which must be last since it writes in the byte alphabet.
  void read_pre_tokenizer(BpeTokenizer& bpe) {
    const JsonField field = root_["pre_tokenizer"];
    if (field.is_null()) field.fail("null is not supported; expected ByteLevel");
    if (type_of(field) != "Sequence") return read_byte_level(field, bpe);
    const JsonField steps = field["pretokenizers"];
    if (steps.array().empty()) steps.fail("is empty; expected ByteLevel at its end");
    for (size_t i = 0; i + 1 < steps.size(); ++i) read_split(steps[i], bpe);
    read_byte_level(steps[steps.size() - 1], bpe);
  }

  static void read_byte_level(const JsonField& step, BpeTokenizer& bpe) {
    if (type_of(step) != "ByteLevel") {
      step["type"].fail(quote(type_of(step)) + " is not supported as the last step; expected ByteLevel");
    }
    bpe.add_prefix_space = flag(step, "add_prefix_space", true);
    bpe.splits_before_prefix = bpe.splits.size();
    if (flag(step, "use_regex", true)) bpe.splits.emplace_back(kGpt2Pattern, RegexSplit::Keep::kAll);
  }

  static void read_split(const JsonField& step, BpeTokenizer& bpe) {
    if (type_of(step) != "Split") {
      step["type"].fail(quote(type_of(step)) + " is not supported before the last step; expected Split");
    }
    const JsonField behavior = step["behavior"], pattern = step["pattern"]["Regex"];
    const bool invert =
        flag(step, "invert", false);  // the pattern describes the words, not what separates them
    RegexSplit::Keep keep = RegexSplit::Keep::kAll;
    if (behavior.string() == "Removed") {
      keep = invert ? RegexSplit::Keep::kMatches : RegexSplit::Keep::kGaps;
    } else if (behavior.string() != "Isolated") {
      refuse(behavior, behavior.string());
    }
    try {
      bpe.splits.emplace_back(pattern.string(), keep);
    } catch (const std::invalid_argument& error) {
      pattern.fail(error.what());
    }
  }

  void read_added_tokens(BpeTokenizer& bpe) {
    const JsonField tokens = root_.find("added_tokens");
    if (tokens.is_null()) return;
    std::unordered_set<std::string> seen;
    for (size_t i = 0; i < tokens.array().size(); ++i) {
      const JsonField field = tokens[i];
      AddedToken token = {.id = static_cast<int32_t>(field["id"].integer(0, kMaxId)),
                          .content = field["content"].string(),
                          .single_word = field["single_word"].boolean(),
                          .lstrip = field["lstrip"].boolean(),
                          .rstrip = field["rstrip"].boolean(),
                          .normalized = field["normalized"].boolean(),
                          .special = field["special"].boolean()};
      if (token.content.empty()) field["content"].fail("is empty");
      if (!seen.insert(token.content).second) field["content"].fail("is there twice");
      if (token.normalized && bpe.normalize_nfc) {
        std::string buffer;
        token.content = nfc(std::string(token.content), buffer);
      }
      check_id(field, token);
      result_.special_[token.id] = token.special;
      (token.normalized ? bpe.normalized_tokens : bpe.raw_tokens).add(token);
    }
  }

  // A token of the vocabulary keeps its id, and others are numbered consecutively; Hugging Face's library
  // ignores the ids of the file.
  void check_id(const JsonField& field, const AddedToken& token) {
    const auto found = id_of_.find(token.content);
    const int32_t id = found != id_of_.end() ? found->second : next_added_id_;
    if (id != token.id) {
      field["id"].fail(std::to_string(token.id) + " for " + quote(token.content) + ", expected " +
                       std::to_string(id) +
                       (found != id_of_.end() ? " as in model.vocab" : ", the next after the vocabulary"));
    }
    if (found == id_of_.end()) name_token(field["id"], token.content, token.id);
    next_added_id_ = std::max(next_added_id_, token.id + 1);
  }

  JsonField root_;
  Tokenizer result_;
  std::unordered_map<std::string, int32_t> id_of_;
  std::vector<bool> taken_;
  int32_t next_added_id_ = 0;
};

Tokenizer Tokenizer::parse(std::string_view json, const std::string& file) {
  const nlohmann::json parsed = parse_json(json, file);
  Tokenizer tokenizer = TokenizerParser(parsed, file).run();  // checks what is_bytes does not look at
  if (Tokenizer::is_bytes(parsed)) return Tokenizer::bytes();
  tokenizer.name_ = name_of(file);
  tokenizer.sha256_ = sha256_hex(json);
  tokenizer.json_ = std::make_shared<const std::string>(json);
  return tokenizer;
}

}  // namespace seednorm::lab

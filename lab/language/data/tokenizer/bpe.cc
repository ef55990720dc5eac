#include "lab/language/data/tokenizer/bpe.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <functional>

namespace seednorm::lab {
namespace {

constexpr uint64_t kGolden = 0x9E3779B97F4A7C15;  // 2^64 over the golden ratio: spreads consecutive keys
constexpr size_t kCacheSlots = size_t{1} << 17;
constexpr size_t kMaxCachedWords = kCacheSlots / 2;
constexpr size_t kMaxCachedBytes = 64;  // of one word; longer ones do not come again

uint64_t pair_of(int32_t left, int32_t right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

}  // namespace

BpeModel::BpeModel(const std::array<int32_t, 256>& id_of_byte, size_t num_merges)
    : id_of_byte_(id_of_byte), slots_(std::bit_ceil(2 * num_merges + 2)) {
  shift_ = 64 - std::countr_zero(slots_.size());
}

// The slot of the pair, or the free slot where it would be.
size_t BpeModel::slot_of(uint64_t pair) const {
  size_t slot = (pair * kGolden) >> shift_;
  while (slots_[slot].pair != pair && slots_[slot].pair != UINT64_MAX)
    slot = (slot + 1) & (slots_.size() - 1);
  return slot;
}

void BpeModel::add_merge(int32_t left, int32_t right, Merge merge) {
  const uint64_t pair = pair_of(left, right);
  slots_[slot_of(pair)] = {pair, merge};
}

BpeModel::Merge BpeModel::merge(int32_t left, int32_t right) const {
  return slots_[slot_of(pair_of(left, right))].merge;
}

int32_t BpeModel::whole_word(std::string_view bytes) const {
  if (whole_words_.empty()) return -1;
  const auto found = whole_words_.find(std::string(bytes));
  return found == whole_words_.end() ? -1 : found->second;
}

BpeEncoder::BpeEncoder(const BpeModel& model) : model_(model), cache_(kCacheSlots) {}

void BpeEncoder::encode(std::string_view word, std::vector<int32_t>& ids) {
  if (word.size() > kMaxCachedBytes) return merge(word, ids);
  const uint64_t hash = std::hash<std::string_view>()(word);
  size_t slot = hash & (kCacheSlots - 1);
  for (; cache_[slot].text_size != 0; slot = (slot + 1) & (kCacheSlots - 1)) {
    const Cached& cached = cache_[slot];
    if (cached.hash == hash && cached.text_size == word.size() &&
        std::memcmp(cached_text_.data() + cached.text, word.data(), word.size()) == 0) {
      const int32_t* begin = cached_ids_.data() + cached.ids;
      ids.insert(ids.end(), begin, begin + cached.num_ids);
      return;
    }
  }
  const size_t before = ids.size();
  merge(word, ids);
  remember(slot, hash, word, ids.data() + before, ids.size() - before);
}

void BpeEncoder::remember(size_t slot, uint64_t hash, std::string_view word, const int32_t* ids,
                          size_t num_ids) {
  if (num_cached_ == kMaxCachedWords) {  // start anew: what is frequent comes back soon
    std::fill(cache_.begin(), cache_.end(), Cached());
    cached_text_.clear();
    cached_ids_.clear();
    num_cached_ = 0;
    slot = hash & (kCacheSlots - 1);
  }
  cache_[slot] = {hash, static_cast<uint32_t>(cached_text_.size()), static_cast<uint32_t>(cached_ids_.size()),
                  static_cast<uint16_t>(word.size()), static_cast<uint16_t>(num_ids)};
  cached_text_ += word;
  cached_ids_.insert(cached_ids_.end(), ids, ids + num_ids);
  ++num_cached_;
}

void BpeEncoder::push_candidate(int32_t position) {
  const int32_t next = symbols_[position].next;
  if (next < 0) return;
  const int32_t left = symbols_[position].id, right = symbols_[next].id;
  const BpeModel::Merge merge = model_.merge(left, right);
  if (merge.rank < 0) return;
  candidates_.push_back({merge.rank, position, left, right, merge.id});
}

void BpeEncoder::merge(std::string_view word, std::vector<int32_t>& ids) {
  if (const int32_t whole = model_.whole_word(word); whole >= 0) {
    ids.push_back(whole);
    return;
  }
  symbols_.clear();
  for (const char c : word) {
    const int32_t id = model_.id_of_byte(static_cast<unsigned char>(c)), position = int32_t(symbols_.size());
    if (id >= 0) symbols_.push_back({id, position - 1, position + 1});
  }
  if (symbols_.empty()) return;
  symbols_.back().next = -1;
  const auto size = static_cast<int32_t>(symbols_.size());
  candidates_.clear();
  for (int32_t i = 0; i + 1 < size; ++i) push_candidate(i);
  const auto later = [](const Candidate& a, const Candidate& b) {
    return a.rank != b.rank ? a.rank > b.rank : a.position > b.position;
  };
  std::make_heap(candidates_.begin(), candidates_.end(), later);
  const auto push = [&](int32_t position) {
    const size_t before = candidates_.size();
    push_candidate(position);
    if (candidates_.size() > before) std::push_heap(candidates_.begin(), candidates_.end(), later);
  };
  while (!candidates_.empty()) {
    std::pop_heap(candidates_.begin(), candidates_.end(), later);
    const Candidate best = candidates_.back();
    candidates_.pop_back();
    Symbol& left = symbols_[best.position];
    // Either side may have merged with another symbol since then.
    if (left.id != best.left || left.next < 0 || symbols_[left.next].id != best.right) continue;
    Symbol& right = symbols_[left.next];
    left.id = best.merged;
    left.next = right.next;
    right.id = -1;
    if (left.next >= 0) symbols_[left.next].previous = best.position;
    if (left.previous >= 0) push(left.previous);
    push(best.position);
  }
  for (int32_t i = 0; i >= 0; i = symbols_[i].next) ids.push_back(symbols_[i].id);
}

}  // namespace seednorm::lab

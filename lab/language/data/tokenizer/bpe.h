// Byte pair encoding: a word starts as its bytes. Of all pairs of neighbours that can merge, the one with the
// lowest rank (the leftmost of equals) merges, until no pair is left.
#ifndef SEEDNORM_LAB_LANGUAGE_DATA_TOKENIZER_BPE_H_
#define SEEDNORM_LAB_LANGUAGE_DATA_TOKENIZER_BPE_H_

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace seednorm::lab {

// The merges of ids. After it is built, threads can share it.
class BpeModel {
 public:
  struct Merge {
    int32_t rank = -1;  // -1: none
    int32_t id = -1;
  };

  // `id_of_byte`: the ids that words start from; bytes of id -1 are left out, as Hugging Face's library does
  // (GPT-NeoX lacks bytes that UTF-8 hardly has). `num_merges` is the number of merges that will be added.
  BpeModel(const std::array<int32_t, 256>& id_of_byte, size_t num_merges);

  // A pair that exists already takes the new rank.
  void add_merge(int32_t left, int32_t right, Merge merge);
  // Words that are one token regardless of the merges (`ignore_merges`).
  void add_whole_word(std::string bytes, int32_t id) { whole_words_.emplace(std::move(bytes), id); }

  int32_t id_of_byte(unsigned char byte) const { return id_of_byte_[byte]; }
  Merge merge(int32_t left, int32_t right) const;
  int32_t whole_word(std::string_view bytes) const;  // -1 if none

 private:
  struct Slot {
    uint64_t pair = UINT64_MAX;
    Merge merge;
  };
  size_t slot_of(uint64_t pair) const;

  std::array<int32_t, 256> id_of_byte_;
  std::vector<Slot> slots_;  // a power of two of them, at most half in use
  int shift_;
  std::unordered_map<std::string, int32_t> whole_words_;
};

// Encodes words by a model, and caches them. Each thread needs its own.
class BpeEncoder {
 public:
  explicit BpeEncoder(const BpeModel& model);  // the model must outlive it

  // Appends the ids of one word.
  void encode(std::string_view word, std::vector<int32_t>& ids);

 private:
  struct Symbol {
    int32_t id, previous, next;  // positions, -1 at the ends; id is -1 after a merge into the left neighbour
  };
  struct Candidate {
    int32_t rank, position, left, right, merged;
  };
  struct Cached {
    uint64_t hash = 0;
    uint32_t text = 0, ids = 0;  // where they start
    uint16_t text_size = 0, num_ids = 0;
  };

  void merge(std::string_view word, std::vector<int32_t>& ids);
  void push_candidate(int32_t position);
  void remember(size_t slot, uint64_t hash, std::string_view word, const int32_t* ids, size_t num_ids);

  const BpeModel& model_;
  std::vector<Symbol> symbols_;
  std::vector<Candidate> candidates_;  // a heap
  std::vector<Cached> cache_;
  std::string cached_text_;
  std::vector<int32_t> cached_ids_;
  size_t num_cached_ = 0;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_DATA_TOKENIZER_BPE_H_

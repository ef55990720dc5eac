// Byte pair encoding: a word starts as its bytes, and of all pairs of neighbours that may merge the one of
// lowest rank (the leftmost of equals) does, until none is left.
#ifndef SEEDNORM_LAB_LANGUAGE_DATA_TOKENIZER_BPE_H_
#define SEEDNORM_LAB_LANGUAGE_DATA_TOKENIZER_BPE_H_

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace seednorm::lab {

// Which ids merge into which. Built once; then safe to share among threads.
class BpeModel {
 public:
  struct Merge {
    int32_t rank = -1;  // -1: none
    int32_t id = -1;
  };

  // `id_of_byte`: the ids that words start from; bytes of id -1 are left out, as Hugging Face's library does
  // (GPT-NeoX lacks bytes that UTF-8 hardly has). `num_merges`: how many will be added.
  BpeModel(const std::array<int32_t, 256>& id_of_byte, size_t num_merges);

  // A pair that is there already takes the new rank.
  void add_merge(int32_t left, int32_t right, Merge merge);
  // Words that are one token whatever the merges say (`ignore_merges`).
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

// Encodes words by a model, and remembers those it has seen. One for each thread.
class BpeEncoder {
 public:
  explicit BpeEncoder(const BpeModel& model);  // the model must outlive it

  // Appends the ids of one word.
  void encode(std::string_view word, std::vector<int32_t>& ids);

 private:
  struct Symbol {
    int32_t id, previous, next;  // positions, -1 at the ends; id is -1 when it went into its left neighbour
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

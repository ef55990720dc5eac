// Added tokens: texts that are cut out before all other steps; each is one token.
#ifndef SEEDNORM_LAB_LANGUAGE_DATA_TOKENIZER_ADDED_TOKENS_H_
#define SEEDNORM_LAB_LANGUAGE_DATA_TOKENIZER_ADDED_TOKENS_H_

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace seednorm::lab {

struct AddedToken {
  int32_t id = -1;
  std::string content;
  bool single_word = false;  // only if no word character is adjacent
  bool lstrip = false;       // includes the white space to its left
  bool rstrip = false;       // and to its right
  bool normalized = false;   // is searched for in the normalized text, in its normalized form
  bool special = false;      // may be left out when decoding
};

// Finds a set of added tokens in texts: leftmost first, and the longest of those that start at the same
// place.
class AddedTokenFinder {
 public:
  // A piece of a text: an added token, or the text between two of them (id -1). It is never empty.
  struct Piece {
    std::string_view text;
    int32_t id;
  };

  AddedTokenFinder() { nodes_.emplace_back(); }
  void add(const AddedToken& token);  // its content is not empty

  // Appends the pieces of `text` in their order. `text` is valid UTF-8.
  void split(std::string_view text, std::vector<Piece>& pieces) const;

 private:
  struct Node {
    std::vector<std::pair<unsigned char, int32_t>> next;
    int32_t token = -1;  // the one that ends here
  };
  struct Found {
    int32_t token = -1;
    size_t size = 0;
  };
  int32_t step(int32_t node, unsigned char byte) const;
  Found longest_at(std::string_view text) const;

  std::vector<Node> nodes_;  // of a trie, the root first
  std::array<bool, 256> starts_{};
  std::vector<AddedToken> tokens_;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_DATA_TOKENIZER_ADDED_TOKENS_H_

#include "lab/language/data/tokenizer/added_tokens.h"

#include <unicode/uchar.h>

#include <algorithm>

#include "lab/base/utf8.h"

namespace seednorm::lab {
namespace {

// \w and \s of Unicode's regular expressions (UTS 18).
bool is_word(char32_t c) {
  const auto code = static_cast<UChar32>(c);
  return u_hasBinaryProperty(code, UCHAR_POSIX_ALNUM) || u_hasBinaryProperty(code, UCHAR_JOIN_CONTROL) ||
         ((U_MASK(u_charType(code)) & (U_GC_M_MASK | U_GC_PC_MASK)) != 0);
}
bool is_space(char32_t c) { return u_hasBinaryProperty(static_cast<UChar32>(c), UCHAR_WHITE_SPACE) != 0; }

// The last code point of a text that is not empty.
std::string_view last_piece(std::string_view text) {
  size_t begin = text.size() - 1;
  while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xC0) == 0x80) --begin;
  return text.substr(begin);
}

bool ends_with_word(std::string_view text) {
  return !text.empty() && is_word(next_utf8(last_piece(text)).code_point);
}
bool starts_with_word(std::string_view text) { return !text.empty() && is_word(next_utf8(text).code_point); }

size_t spaces_at_start(std::string_view text) {
  size_t size = 0;
  while (size < text.size()) {
    const Utf8Piece piece = next_utf8(text.substr(size));
    if (!is_space(piece.code_point)) break;
    size += piece.size;
  }
  return size;
}

size_t spaces_at_end(std::string_view text) {
  size_t size = 0;
  while (size < text.size()) {
    const std::string_view last = last_piece(text.substr(0, text.size() - size));
    if (!is_space(next_utf8(last).code_point)) break;
    size += last.size();
  }
  return size;
}

}  // namespace

void AddedTokenFinder::add(const AddedToken& token) {
  starts_[static_cast<unsigned char>(token.content[0])] = true;
  int32_t node = 0;
  for (const char c : token.content) {
    int32_t next = step(node, static_cast<unsigned char>(c));
    if (next < 0) {
      next = static_cast<int32_t>(nodes_.size());
      nodes_[node].next.emplace_back(c, next);
      nodes_.emplace_back();
    }
    node = next;
  }
  // Normalization may make two tokens equal; then the first one is found.
  if (nodes_[node].token >= 0) return;
  nodes_[node].token = static_cast<int32_t>(tokens_.size());
  tokens_.push_back(token);
}

int32_t AddedTokenFinder::step(int32_t node, unsigned char byte) const {
  for (const auto& [label, next] : nodes_[node].next) {
    if (label == byte) return next;
  }
  return -1;
}

AddedTokenFinder::Found AddedTokenFinder::longest_at(std::string_view text) const {
  Found found;
  int32_t node = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    node = step(node, static_cast<unsigned char>(text[i]));
    if (node < 0) break;
    if (nodes_[node].token >= 0) found = {nodes_[node].token, i + 1};
  }
  return found;
}

void AddedTokenFinder::split(std::string_view text, std::vector<Piece>& pieces) const {
  size_t done = 0;  // what lies before it is in pieces
  size_t spaces_begin = 0,
         spaces_end = 0;  // white space that was measured, so that no token measures it again
  for (size_t i = 0; !tokens_.empty() && i < text.size();) {
    if (!starts_[static_cast<unsigned char>(text[i])]) {
      ++i;
      continue;
    }
    const Found found = longest_at(text.substr(i));
    if (found.token < 0) {
      ++i;
      continue;
    }
    const AddedToken& token = tokens_[found.token];
    size_t begin = i, end = i + found.size;
    i = end;
    if (token.single_word && (ends_with_word(text.substr(0, begin)) || starts_with_word(text.substr(end)))) {
      continue;
    }
    if (token.lstrip) {
      begin = begin > done ? begin - spaces_at_end(text.substr(done, begin - done)) : done;
    }
    if (token.rstrip) {
      if (end < spaces_begin || end >= spaces_end) {
        spaces_begin = end;
        spaces_end = end + spaces_at_start(text.substr(end));
      }
      end = spaces_end;
    }
    if (done < begin) pieces.push_back({text.substr(done, begin - done), -1});
    pieces.push_back({text.substr(begin, end - begin), token.id});
    // The search continues right after the token itself, so that a token within the removed white space is
    // found too.
    done = end;
  }
  if (done < text.size()) pieces.push_back({text.substr(done), -1});
}

}  // namespace seednorm::lab

// Texts that verbs measure a model on.
#ifndef SEEDNORM_LAB_CLI_TEXT_INPUT_H_
#define SEEDNORM_LAB_CLI_TEXT_INPUT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lab/language/data/tokenizer/tokenizer.h"

namespace seednorm::lab {

// The token ids of a text, and the number of bytes of text that they stand for, without special tokens.
struct TextInput {
  std::string file;
  std::vector<int64_t> ids;
  std::optional<size_t> text_bytes;

  // Of a loss in nats per token; nothing if the bytes are unknown or 0. The text's bytes are shared evenly by
  // all tokens but the first, so that predicted tokens count with their share.
  std::optional<double> bits_per_byte(double nll) const;
};

// A text file as one document. Errors (UserError): it cannot be read, or is larger than 1 GiB.
TextInput read_text_input(const std::string& file, const Tokenizer& tokenizer);
// A JSON list of ids below vocab_size. The bytes are known with a tokenizer. Errors (UserError): also those
// of parse_token_list.
TextInput read_token_input(const std::string& file, const std::optional<Tokenizer>& tokenizer,
                           int64_t vocab_size);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_CLI_TEXT_INPUT_H_

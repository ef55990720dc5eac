// Decodes tokens one by one, up to the first stop string.
#ifndef SEEDNORM_LAB_LANGUAGE_GENERATE_TEXT_STREAM_H_
#define SEEDNORM_LAB_LANGUAGE_GENERATE_TEXT_STREAM_H_

#include <string>
#include <vector>

#include "lab/language/data/tokenizer/tokenizer.h"

namespace seednorm::lab {

// push and finish return parts of complete UTF-8. Together the parts are the text before the first stop
// string, regardless of token boundaries.
class TextStream {
 public:
  // `stops` must not contain empty texts.
  TextStream(const Tokenizer& tokenizer, std::vector<std::string> stops)
      : decoder_(tokenizer, /*keep_special=*/false), stops_(std::move(stops)) {}

  // The text that is final now, without an incomplete character or the possible start of a stop string.
  std::string push(int32_t id) { return release(decoder_.push(id)); }
  // The remaining text, when no token follows.
  std::string finish();
  // Whether a stop string was found; no text follows it.
  bool stopped() const { return stopped_; }

 private:
  std::string release(const std::string& text);

  StreamDecoder decoder_;
  std::vector<std::string> stops_;
  std::string held_;  // the possible start of a stop string
  bool stopped_ = false;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_GENERATE_TEXT_STREAM_H_

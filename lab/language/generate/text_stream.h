// The text of tokens as they come, up to the first stop string.
#ifndef SEEDNORM_LAB_LANGUAGE_GENERATE_TEXT_STREAM_H_
#define SEEDNORM_LAB_LANGUAGE_GENERATE_TEXT_STREAM_H_

#include <string>
#include <vector>

#include "lab/language/data/tokenizer/tokenizer.h"

namespace seednorm::lab {

// The parts that push and finish return are whole UTF-8 and put together the text before the first stop
// string, wherever tokens begin and end.
class TextStream {
 public:
  // stops: without empty ones.
  TextStream(const Tokenizer& tokenizer, std::vector<std::string> stops)
      : decoder_(tokenizer, /*keep_special=*/false), stops_(std::move(stops)) {}

  // What is certain now: neither an incomplete character nor what may become a stop string.
  std::string push(int32_t id) { return release(decoder_.push(id)); }
  // The rest, when no token follows.
  std::string finish();
  // A stop string has come; nothing comes behind it.
  bool stopped() const { return stopped_; }

 private:
  std::string release(const std::string& text);

  StreamDecoder decoder_;
  std::vector<std::string> stops_;
  std::string held_;  // the beginning of a stop string, perhaps
  bool stopped_ = false;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_GENERATE_TEXT_STREAM_H_

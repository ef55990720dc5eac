#include "lab/language/generate/text_stream.h"

#include <algorithm>
#include <string_view>

namespace seednorm::lab {

std::string TextStream::release(const std::string& text) {
  if (stopped_) return "";
  held_ += text;
  size_t end = std::string::npos;
  for (const std::string& stop : stops_) end = std::min(end, held_.find(stop));
  stopped_ = end != std::string::npos;
  if (!stopped_) {
    // The longest end of the text that is the start of a stop string is held back.
    size_t longest = 0;
    for (const std::string& stop : stops_) {
      size_t size = std::min(stop.size() - 1, held_.size());
      while (size > longest && !std::string_view(held_).ends_with(std::string_view(stop).substr(0, size)))
        --size;
      longest = std::max(longest, size);
    }
    end = held_.size() - longest;
  }
  std::string out = held_.substr(0, end);
  held_.erase(0, end);
  return out;
}

std::string TextStream::finish() {
  std::string out = release(decoder_.finish());
  if (!stopped_) out += held_;
  held_.clear();
  return out;
}

}  // namespace seednorm::lab

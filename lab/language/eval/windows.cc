#include "lab/language/eval/windows.h"

#include <algorithm>

namespace seednorm::lab {

std::vector<Window> sliding_windows(int64_t tokens, int64_t context, int64_t stride) {
  std::vector<Window> out;
  const int64_t inputs = tokens - 1;  // the last token predicts nothing
  for (int64_t begin = 0, done = 0; done < inputs; begin += stride) {
    const int64_t end = std::min(begin + context, inputs);
    out.push_back({begin, end - begin, done - begin});
    done = end;
  }
  return out;
}

std::vector<Window> chunks(int64_t tokens, int64_t context) {
  std::vector<Window> out;
  for (int64_t begin = 0; begin + context <= tokens; begin += context) out.push_back({begin, context - 1, 0});
  return out;
}

}  // namespace seednorm::lab

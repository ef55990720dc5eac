// Any bytes are a tokenizer.json or an error in one line. One that is read encodes and decodes text.
#include "lab/language/data/tokenizer/tokenizer.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace seednorm::lab;
  return or_one_line([&] {
    const Tokenizer tokenizer = Tokenizer::parse(bytes_of(data, size), "file");
    const std::vector<int32_t> ids = tokenizer.encode("It's 12:30 \u00e9\u0301 <|endoftext|>\n\n  ab\xff");
    for (const int32_t id : ids) require(id >= 0 && id < tokenizer.vocab_size());
    require(tokenizer.decode(ids).size() < 1 << 20);
  });
}

// Encodes and decodes for tests in other languages: tokenizer_tool TOKENIZER, then a line of JSON in, a line
// out. A string becomes its ids; a list of ids becomes its text. `bench FILE` encodes a file again and again
// for two seconds and prints its MB/s.
#include <cstdio>
#include <ctime>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "lab/base/file.h"
#include "lab/language/data/tokenizer/tokenizer.h"

namespace {

double megabytes_per_second(const seednorm::lab::Tokenizer& tokenizer, const std::string& file) {
  const std::string text = seednorm::lab::read_file(file, size_t{1} << 30);
  std::vector<int32_t> ids;
  const std::clock_t start = std::clock();
  double seconds = 0, bytes = 0;
  while (seconds < 2) {
    ids.clear();
    seednorm::lab::Encoder(tokenizer).encode(text, ids);  // nothing remembered of the time before
    bytes += static_cast<double>(text.size());
    seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  }
  return bytes / 1e6 / seconds;
}

}  // namespace

int main(int argc, char** argv) {
  using seednorm::lab::Tokenizer;
  if (argc < 2) return 2;
  try {
    const Tokenizer tokenizer = Tokenizer::load(argv[1]);
    if (argc == 4 && std::string(argv[2]) == "bench") {
      std::printf("%.2f\n", megabytes_per_second(tokenizer, argv[3]));
      return 0;
    }
    seednorm::lab::Encoder encoder(tokenizer);
    for (std::string line; std::getline(std::cin, line);) {
      const nlohmann::json request = nlohmann::json::parse(line);
      if (request.is_string()) {
        std::vector<int32_t> ids;
        encoder.encode(request.get<std::string>(), ids);
        std::cout << nlohmann::json(ids) << "\n";
      } else {
        std::cout << nlohmann::json(tokenizer.decode(request.get<std::vector<int32_t>>())) << "\n";
      }
    }
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
  }
}

// What the tests of the lab share.
#ifndef SEEDNORM_TESTS_LAB_SUPPORT_H_
#define SEEDNORM_TESTS_LAB_SUPPORT_H_

#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "lab/base/error.h"
#include "lab/base/utf8.h"
#include "lab/language/data/tokenizer/byte_alphabet.h"

namespace seednorm::lab {

// A folder of this test, removed at its end.
class TestFolder {
 public:
  TestFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "seednorm-test-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no temporary folder");
    path_ = pattern;
  }
  ~TestFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;

  std::string operator/(const std::string& name) const { return (path_ / name).string(); }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

inline void write(const std::string& path, const std::string& content) {
  std::ofstream file(path, std::ios::binary);
  file << content;
  ASSERT_TRUE(file.good()) << path;
}

// The message of the UserError that `f` throws.
template <typename F>
std::string user_error(F f) {
  try {
    f();
  } catch (const UserError& error) {
    std::string message = error.what();
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    return message;
  }
  ADD_FAILURE() << "no UserError";
  return "";
}

// A tokenizer.json of the 256 bytes (ids 0 to 255) and of what the merges make of them (256 and up).
inline nlohmann::json small_tokenizer(const std::vector<std::pair<std::string, std::string>>& merges) {
  nlohmann::json vocab = nlohmann::json::object();
  for (int byte = 0; byte < 256; ++byte) {
    std::string token;
    append_utf8(kByteAlphabet[byte], token);
    vocab[token] = byte;
  }
  nlohmann::json list = nlohmann::json::array();
  int id = 256;
  for (const auto& [left, right] : merges) {
    list.push_back(std::string(left).append(" ").append(right));
    if (!vocab.contains(left + right)) vocab[left + right] = id++;
  }
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", nlohmann::json::array()},
          {"normalizer", nullptr},
          {"pre_tokenizer",
           {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}}},
          {"post_processor", nullptr},
          {"decoder", {{"type", "ByteLevel"}}},
          {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", list}}}};
}

inline nlohmann::json added_token(int id, const std::string& content) {
  return {{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", false}, {"special", true}};
}

// A file of the data that is not part of the repository; the calling test is skipped where it is not there.
inline std::filesystem::path data_file(const std::string& name) {
  return std::filesystem::path(SEEDNORM_TEST_DATA_DIR) / name;
}
#define SEEDNORM_NEEDS_DATA(name)                                                                         \
  if (!std::filesystem::exists(data_file(name))) {                                                        \
    GTEST_SKIP() << data_file(name).string() << " is not there; SEEDNORM_TEST_DATA_DIR names its folder"; \
  }

}  // namespace seednorm::lab

#endif  // SEEDNORM_TESTS_LAB_SUPPORT_H_

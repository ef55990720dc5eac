#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

#include "lab/language/data/reader.h"
#include "tests/lab/support.h"

namespace seednorm::lab {
namespace {

std::string gzip(const std::string& text) {
  const TestFolder folder;
  gzFile file = gzopen((folder / "x").c_str(), "wb");
  gzwrite(file, text.data(), static_cast<unsigned>(text.size()));
  gzclose(file);
  std::ifstream in(folder / "x", std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string zstd(const std::string& text) {
  std::string packed(ZSTD_compressBound(text.size()), '\0');
  packed.resize(ZSTD_compress(packed.data(), packed.size(), text.data(), text.size(), 3));
  return packed;
}

std::vector<std::string> read(const std::vector<std::string>& inputs, const std::string& field = "text") {
  RecordReader reader(expand_inputs(inputs));
  std::vector<std::string> texts;
  for (Record record; reader.next(record);) texts.push_back(text_of(record, reader, field));
  EXPECT_EQ(reader.bytes_done(), reader.bytes_total());
  return texts;
}

using Texts = std::vector<std::string>;

TEST(Reader, EveryFormat) {
  const TestFolder folder;
  const std::string lines =
      "{\"id\": 1, \"text\": \"one\"}\n\n  \r\n{\"text\": \"t\\u00e9\\n\", \"x\": {\"text\": 5}}";
  write(folder / "a.jsonl", lines);
  write(folder / "b.jsonl.gz", gzip(lines) + gzip("\n{\"text\": \"second member\"}"));
  write(folder / "c.json.zst", zstd(lines) + zstd("\n{\"text\": \"second frame\"}\n"));
  write(folder / "d.txt", "all\nof it\n");
  write(folder / "e.txt.gz", gzip("packed\n"));
  write(folder / "f.txt", "");
  write(folder / "g.jsonl", "");
  EXPECT_EQ(read({folder / "a.jsonl"}), (Texts{"one", "t\u00e9\n"}));
  EXPECT_EQ(read({folder / "b.jsonl.gz"}), (Texts{"one", "t\u00e9\n", "second member"}));
  EXPECT_EQ(read({folder / "c.json.zst"}), (Texts{"one", "t\u00e9\n", "second frame"}));
  EXPECT_EQ(read({folder / "[d-g].*"}), (Texts{"all\nof it\n", "packed\n", ""}));
  EXPECT_EQ(read({folder / "d.txt", folder / "a.json*"}), (Texts{"all\nof it\n", "one", "t\u00e9\n"}));
}

TEST(Reader, LinesAcrossBuffers) {
  const TestFolder folder;
  std::string lines;
  Texts expected;
  for (size_t i = 0; i < 40; ++i) {
    expected.emplace_back(i * 7919, 'x');
    lines += "{\"text\": \"" + expected.back() + "\"}\n";
  }
  write(folder / "a.jsonl", lines);
  write(folder / "a.jsonl.gz", gzip(lines));
  write(folder / "a.jsonl.zst", zstd(lines));
  for (const char* name : {"a.jsonl", "a.jsonl.gz", "a.jsonl.zst"})
    EXPECT_EQ(read({folder / name}), expected) << name;
}

TEST(Reader, AnotherField) {
  EXPECT_EQ(text_of_json_line(R"({"text": 1, "content": "x"})", "content", "f:1"), "x");
  // As Python does: the last of two.
  EXPECT_EQ(text_of_json_line(R"({"text": "a", "text": "b"})", "text", "f:1"), "b");
}

TEST(Reader, ErrorsNameFileAndLine) {
  const auto error = [](const char* line) {
    return user_error([&] { text_of_json_line(line, "text", "f:3"); });
  };
  EXPECT_EQ(error("{\"text\": \"a"),
            "f:3: is not valid JSON at column 12 (the line ends early); expected one object a line");
  EXPECT_NE(error("{\"text\": \"\xFF\"}").find("f:3: is not valid JSON"), std::string::npos);
  EXPECT_EQ(error("{\"title\": \"a\"}"), "f:3: has no field \"text\"; --field names another");
  EXPECT_EQ(error("{\"text\": null}"), "f:3: field \"text\" is null, expected a string");
  EXPECT_EQ(error("{\"text\": [\"a\"]}"), "f:3: field \"text\" is an array, expected a string");
  EXPECT_EQ(error("[\"text\"]"), "f:3: is not a JSON object; expected one a line");
  EXPECT_EQ(error("\"text\""), "f:3: is not a JSON object; expected one a line");
  EXPECT_EQ(error("5"), "f:3: is not a JSON object; expected one a line");
  error("{}{}");
  error((std::string("{\"text\": ") + std::string(1000000, '[')).c_str());
}

TEST(Reader, LineNumbersCountBlankLines) {
  const TestFolder folder;
  write(folder / "a.jsonl", "{\"text\": \"\"}\n\n{\"text\": 5}\n");
  EXPECT_NE(user_error([&] { read({folder / "a.jsonl"}); }).find("a.jsonl:3: field"), std::string::npos);
}

TEST(Reader, TornAndWrongFiles) {
  const TestFolder folder;
  std::string text;
  for (int i = 0; i < 100000; ++i) text += "{\"text\": \"" + std::to_string(i * 7919) + "\"}\n";
  const std::string gz = gzip(text), zst = zstd(text);
  write(folder / "torn.jsonl.gz", gz.substr(0, gz.size() / 2));
  write(folder / "torn.jsonl.zst", zst.substr(0, zst.size() / 2));
  EXPECT_NE(user_error([&] { read({folder / "torn.jsonl.gz"}); }).find("it ends early"), std::string::npos);
  EXPECT_NE(user_error([&] { read({folder / "torn.jsonl.zst"}); }).find("it ends early"), std::string::npos);
  write(folder / "torn.jsonl.gz", gz.substr(0, gz.size() - 3));  // only its checksum
  EXPECT_NE(user_error([&] { read({folder / "torn.jsonl.gz"}); }).find("it ends early"), std::string::npos);
  std::string altered = gz;
  altered[gz.size() / 2] ^= 1;
  write(folder / "altered.txt.gz", altered);
  EXPECT_NE(user_error([&] { read({folder / "altered.txt.gz"}); }).find("damaged gzip"), std::string::npos);
  write(folder / "plain.jsonl.gz", text);
  EXPECT_NE(user_error([&] { read({folder / "plain.jsonl.gz"}); }).find("is not gzip"), std::string::npos);
  write(folder / "plain.jsonl.zst", text);
  EXPECT_NE(user_error([&] { read({folder / "plain.jsonl.zst"}); }).find("damaged zstd"), std::string::npos);
}

// A damaged byte between two members, or behind the last one, must not end the file early.
TEST(Reader, DamageBetweenMembersIsFound) {
  const TestFolder folder;
  const std::string one = "{\"text\": \"one\"}\n", two = "{\"text\": \"two\"}\n";
  std::string damaged = gzip(two);
  damaged[0] = 'x';
  for (const std::string& rest :
       {damaged, std::string("garbage"), std::string("\0\0x", 3), gzip(two).substr(0, 1)}) {
    write(folder / "a.jsonl.gz", gzip(one) + rest);
    EXPECT_NE(user_error([&] { read({folder / "a.jsonl.gz"}); }).find("damaged gzip"), std::string::npos)
        << rest;
  }
  write(folder / "a.jsonl.gz",
        gzip(one) + gzip("") + gzip(two) + std::string(1000, '\0'));  // padding is allowed
  EXPECT_EQ(read({folder / "a.jsonl.gz"}), (Texts{"one", "two"}));
  damaged = zstd(two);
  damaged[0] ^= 1;
  for (const std::string& rest : {damaged, std::string("garbage"), zstd(two).substr(0, 2)}) {
    write(folder / "a.jsonl.zst", zstd(one) + rest);
    EXPECT_NE(user_error([&] { read({folder / "a.jsonl.zst"}); }).find("damaged zstd"), std::string::npos);
  }
  for (const char* name : {"empty.txt.gz", "empty.txt.zst"}) {
    write(folder / name, "");
    EXPECT_NE(user_error([&] { read({folder / name}); }).find("it ends early"), std::string::npos);
  }
}

// What is left in zlib when the input has ended and the output was full.
TEST(Reader, GzipThatUnpacksToMuchMoreThanItsSize) {
  const TestFolder folder;
  for (const size_t size : {(size_t{1} << 18) - 1, size_t{1} << 18, (size_t{1} << 20) + 1, size_t{5000000}}) {
    const std::string text(size, 'a');
    write(folder / "a.txt.gz", gzip(text));
    EXPECT_TRUE(read({folder / "a.txt.gz"}) == Texts{text}) << size;
  }
  std::string member = gzip(std::string(size_t{1} << 26, 'a')), members;
  for (int i = 0; i < 5; ++i) members += member;
  write(folder / "bomb.txt.gz", members);
  EXPECT_NE(user_error([&] { read({folder / "bomb.txt.gz"}); }).find("more than 256 MiB"), std::string::npos);
}

TEST(Reader, ByteOrderMarksAreNoText) {
  const TestFolder folder;
  const std::string mark = "\xEF\xBB\xBF";
  write(folder / "a.txt", mark + "text" + mark);
  write(folder / "b.txt.gz", gzip(mark + "text"));
  write(folder / "c.jsonl", mark + "{\"text\": \"one\"}\n{\"text\": \"two\"}\n");
  EXPECT_EQ(read({folder / "a.txt"}), Texts{"text" + mark});
  EXPECT_EQ(read({folder / "b.txt.gz"}), Texts{"text"});
  EXPECT_EQ(read({folder / "c.jsonl"}), (Texts{"one", "two"}));
}

TEST(Reader, GitLfsPointersAreNamed) {
  const TestFolder folder;
  write(folder / "a.txt", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n");
  EXPECT_NE(user_error([&] { read({folder / "a.txt"}); }).find("git-lfs pointer"), std::string::npos);
}

TEST(Reader, InputsThatAreNone) {
  const TestFolder folder;
  write(folder / "a.md", "x");
  EXPECT_NE(user_error([&] { read({folder / "*.jsonl"}); }).find("no file matches"), std::string::npos);
  EXPECT_NE(user_error([&] { read({folder.path()}); }).find("is a folder"), std::string::npos);
  EXPECT_NE(user_error([&] { read({folder / "a.md"}); }).find("does not tell the format"), std::string::npos);
}

}  // namespace
}  // namespace seednorm::lab

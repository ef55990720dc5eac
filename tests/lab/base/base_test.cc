#include <gtest/gtest.h>

#include <limits>

#include "lab/base/error.h"
#include "lab/base/file.h"
#include "lab/base/json_field.h"
#include "lab/base/progress.h"
#include "lab/base/sha256.h"
#include "lab/base/suggest.h"
#include "lab/base/utf8.h"
#include "tests/lab/support.h"

namespace seednorm::lab {
namespace {

namespace fs = std::filesystem;

std::string lossy(std::string_view text) {
  std::string out;
  append_lossy_utf8(text, out);
  return out;
}

// The examples of the Unicode standard, section 3.9, tables 3-8 to 3-11.
TEST(Utf8, ReplacesEachLongestInvalidPiece) {
  const std::string r = "\uFFFD";
  EXPECT_EQ(lossy("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41"), r + r + r + r + r + r + r + r + "A");
  EXPECT_EQ(lossy("\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41"), r + r + r + r + r + r + r + r + "A");
  EXPECT_EQ(lossy("\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42"), r + r + r + r + r + "A" + r + r + "B");
  EXPECT_EQ(lossy("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41"), r + r + r + r + "A");
}

TEST(Utf8, EveryCodePoint) {
  for (char32_t c = 0; c < 0x110000; ++c) {
    std::string text;
    append_utf8(c, text);
    const bool surrogate = c >= 0xD800 && c < 0xE000;
    ASSERT_EQ(valid_utf8_size(text) == text.size(), !surrogate) << static_cast<uint32_t>(c);
    if (surrogate) continue;
    const Utf8Piece piece = next_utf8(text);
    ASSERT_EQ(static_cast<uint32_t>(piece.code_point), static_cast<uint32_t>(c));
    ASSERT_EQ(static_cast<size_t>(piece.size), text.size());
    for (size_t cut = 1; cut < text.size(); ++cut) {
      ASSERT_EQ(next_utf8(std::string_view(text).substr(0, cut)).state, Utf8Piece::kIncomplete);
    }
  }
}

TEST(Utf8, ByteOrderMark) {
  EXPECT_EQ(without_byte_order_mark("\xEF\xBB\xBF"
                                    "a"),
            "a");
  EXPECT_EQ(without_byte_order_mark("a\xEF\xBB\xBF"), "a\xEF\xBB\xBF");
  EXPECT_EQ(without_byte_order_mark("\xEF\xBB"), "\xEF\xBB");
}

TEST(Sha256, KnownHashes) {  // FIPS 180-4's examples
  EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  Sha256 sha;
  for (int i = 0; i < 1000; ++i) sha.update(std::string(1000, 'a'));
  EXPECT_EQ(sha.hex(), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Quote, StaysOneReadableLine) {
  EXPECT_EQ(quote("a\"b\\c"), "\"a\\\"b\\\\c\"");
  EXPECT_EQ(quote("a\nb\x1b[1m\xFF"), "\"a\\x0ab\\x1b[1m\\xff\"");
  EXPECT_EQ(quote("é"), "\"é\"");
  EXPECT_EQ(quote(std::string(100, 'x'), 10), "\"xxxxxxxxxx\"...");
}

TEST(Suggest, NearestName) {
  const std::vector<std::string> known = {"--tokenizer", "--out", "--workers", "--json"};
  EXPECT_EQ(nearest_name("--tokeniser", known), "--tokenizer");
  EXPECT_EQ(nearest_name("--wrokers", known), "--workers");
  EXPECT_EQ(nearest_name("--colour", known), "");
  EXPECT_EQ(nearest_name(std::string(100000, 'x'), known), "");
}

TEST(Progress, Units) {
  EXPECT_EQ(with_unit(0), "0");
  EXPECT_EQ(with_unit(999), "999");
  EXPECT_EQ(with_unit(1234567), "1.23M");
  EXPECT_EQ(with_unit(999600), "1.00M");
  EXPECT_EQ(with_unit(58.6e6), "58.6M");
}

TEST(Json, ErrorsNameThePlace) {
  EXPECT_EQ(user_error([] { parse_json("{\n \"a\": }", "f"); }), "f: is not valid JSON at line 2, column 7");
  EXPECT_EQ(user_error([] { parse_json("{\"a\": 1", "f"); }),
            "f: is not valid JSON at line 1, column 8 (the file ends early)");
  const auto json = parse_json(R"({"a": [{"b": "x"}, 2]})", "f");
  const JsonField root(json, "f");
  EXPECT_EQ(user_error([&] { root["a"][0]["b"].integer(0, 5); }),
            "f: a[0].b: expected a whole number from 0 to 5, got \"x\"");
  EXPECT_EQ(user_error([&] { root["a"][1].string(); }), "f: a[1]: expected a string, got 2");
  EXPECT_EQ(user_error([&] { static_cast<void>(root["c"]); }), "f: has no \"c\"");
  const auto large = parse_json("18446744073709551615", "f");
  const auto max = std::numeric_limits<int64_t>::max();
  user_error([&] { JsonField(large, "f").integer(0, max); });
}

TEST(Json, DeepNestingIsOnlyAnError) {
  const auto nested = [](size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  for (const std::string& deep : {std::string(3000000, '['), nested(1000000), nested(kMaxJsonDepth + 1)}) {
    EXPECT_EQ(user_error([&] { parse_json(deep, "f"); }), "f: is nested deeper than 100 levels");
    EXPECT_EQ(user_error([&] { parse_ordered_json(deep, "f"); }), "f: is nested deeper than 100 levels");
    EXPECT_TRUE(parse_json_or_null(deep).is_null());
  }
  parse_json(nested(kMaxJsonDepth), "f");
  // Brackets in strings nest nothing, whatever is escaped.
  EXPECT_EQ(parse_json(R"(["\\", "\"[[[[", [1]])", "f", 2)[2][0], 1);
  user_error([] { parse_json(R"(["\\", [[1]]])", "f", 2); });
}

TEST(Json, OrderedKeepsTheOrder) {
  EXPECT_EQ(parse_ordered_json(R"({"b": 1, "a": 2})", "f").dump(), R"({"b":1,"a":2})");
  EXPECT_EQ(user_error([] { parse_ordered_json("{\n \"a\": }", "f"); }),
            "f: is not valid JSON at line 2, column 7");
}

TEST(Toml, DeepNestingIsRefusedBeforeParsing) {
  std::string key = "a";
  for (int i = 0; i < 100000; ++i) key += ".a";
  for (const std::string& deep : {key + " = 1", "[" + key + "]", "x = {" + key + " = 1}",
                                  "x = " + std::string(100000, '['), "a.\"b\"" + key.substr(1) + " = 1"}) {
    EXPECT_EQ(user_error([&] { check_toml_nesting(deep, "f"); }), "f: is nested deeper than 100 levels");
  }
  std::string numbers = "x = [";
  for (int i = 0; i < 1000; ++i) numbers += "1.5, ";
  check_toml_nesting(numbers + "]", "f");
  check_toml_nesting("x = \"" + std::string(1000, '.') + "\" # " + std::string(1000, '['), "f");
  check_toml_nesting("x = '''\n" + std::string(1000, '.') + "'''\na.b = 'it\\'\n", "f");
  check_toml_nesting("\"", "f");
}

TEST(Files, ReplaceLeavesOldContentOnFailure) {
  const TestFolder folder;
  replace_file(folder / "a", "one");
  replace_file(folder / "a", "two");
  EXPECT_EQ(read_file(folder / "a", 100), "two");
  EXPECT_THROW(replace_file(folder / "none/a", "x"), std::runtime_error);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), {}), 1);
}

TEST(Files, WhatIsNoFileIsRefused) {
  const TestFolder folder;
  write(folder / "a", "12345");
  user_error([&] { read_file(folder / "none", 10); });
  user_error([&] { read_file(folder.path(), 10); });
  user_error([&] { read_file("/dev/zero", 10); });
  EXPECT_NE(user_error([&] { read_file(folder / "a", 4); }).find("at most 4 bytes, got 5"),
            std::string::npos);
  EXPECT_EQ(MappedFile(folder / "a").bytes(), "12345");
  write(folder / "empty", "");
  EXPECT_EQ(MappedFile(folder / "empty").bytes(), "");
}

TEST(NewFolder, AppearsCompleteOrNotAtAll) {
  const TestFolder folder;
  const std::string out = folder / "deep/out";
  {
    const NewFolder abandoned(out);
    write((abandoned.path() / "x").string(), "x");
  }
  EXPECT_FALSE(fs::exists(out));
  EXPECT_TRUE(fs::is_empty(folder / "deep"));

  fs::create_directories(folder / "deep/out.partial");  // what a killed process left behind
  write(folder / "deep/out.partial/old", "old");
  fs::create_directory(out);  // an empty folder may be there
  {
    NewFolder kept(out + "/");
    EXPECT_NE(user_error([&] { const NewFolder second(out); }).find("another process"), std::string::npos);
    write((kept.path() / "x").string(), "x");
    kept.commit();
  }
  EXPECT_TRUE(fs::exists(out + "/x"));
  EXPECT_FALSE(fs::exists(out + "/old"));
  EXPECT_NE(user_error([&] { const NewFolder again(out); }).find("already exists"), std::string::npos);
  EXPECT_TRUE(fs::exists(out + "/x"));
}

TEST(MakeFolder, NamesTheFileInItsWay) {
  const TestFolder folder;
  make_folder(folder / "a/b");
  make_folder(folder / "a/b");
  EXPECT_TRUE(fs::is_directory(folder / "a/b"));
  write(folder / "file", "1");
  const std::string wanted = folder / "file/c/d";
  EXPECT_EQ(user_error([&] { make_folder(wanted); }),
            wanted + ": cannot be created, since " + (folder / "file") + " is a file");
  EXPECT_NE(user_error([&] { const NewFolder out(wanted); }).find("is a file"), std::string::npos);
}

TEST(OutputFile, NeverOverwrites) {
  const TestFolder folder;
  write(folder / "a", "old");
  EXPECT_THROW(OutputFile(folder / "a"), std::runtime_error);
  EXPECT_EQ(read_file(folder / "a", 10), "old");
}

TEST(OutputFile, FullDiskNamesTheFile) {
  if (!fs::exists("/dev/full")) GTEST_SKIP() << "no /dev/full";
  // It cannot be opened as a new file; a link cannot either. The error's text is what is tested.
  try {
    fail_with_errno("write", "x.bin", ENOSPC);
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(),
                 "cannot write x.bin: No space left on device; free some space and run the command again");
  }
}

}  // namespace
}  // namespace seednorm::lab

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <random>

#include "lab/base/file.h"
#include "lab/base/json_field.h"
#include "lab/base/sha256.h"
#include "lab/language/data/entropy.h"
#include "lab/language/data/shard_index.h"
#include "lab/language/data/shard_writer.h"
#include "lab/language/data/token_stream.h"
#include "lab/language/data/tokenize.h"
#include "tests/lab/support.h"

namespace seednorm::lab {
namespace {

namespace fs = std::filesystem;
using Ids = std::vector<int32_t>;

// Documents of random bytes, written by the byte tokenizer. Returns the stream they should make.
Ids write_set(const std::string& folder, int num_documents, int64_t max_tokens, unsigned seed = 1) {
  fs::create_directories(folder);
  ShardWriter writer(folder, Tokenizer::bytes(), max_tokens);
  std::mt19937 random(seed);
  Ids all;
  for (int d = 0; d < num_documents; ++d) {
    Ids ids(1 + random() % 3000);
    for (int32_t& id : ids) id = static_cast<int32_t>(random() % 256);
    writer.add(ids, d < num_documents / 2 ? "a.txt" : "b.txt", ids.size());
    all.insert(all.end(), ids.begin(), ids.end());
    all.push_back(256);
  }
  writer.finish();
  return all;
}

Ids read_all(const TokenStream& stream) {
  Ids ids(static_cast<size_t>(stream.num_tokens()));
  stream.read(0, ids);
  return ids;
}

void flip(const std::string& path, int64_t at) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(at);
  const char old = static_cast<char>(file.get());
  file.seekp(at);
  file.put(static_cast<char>(old ^ 1));
  ASSERT_TRUE(file.good());
}

TEST(Shards, RoundTripOverSeveralFiles) {
  const TestFolder folder;
  const Ids all = write_set(folder / "s", 1000, 200000);  // 1.5 M tokens, 3 MB
  const TokenStream stream = TokenStream::open({folder / "s"});
  const TokenSetInfo& info = stream.sets()[0];
  EXPECT_GT(info.shards.size(), 4u);
  EXPECT_EQ(info.tokens, static_cast<int64_t>(all.size()));
  EXPECT_EQ(info.sources.size(), 2u);
  EXPECT_EQ(info.sources[0].documents, 500);
  EXPECT_EQ(fs::file_size(folder / "s/00000.bin"), static_cast<uintmax_t>(info.shards[0].tokens) * 2);
  EXPECT_EQ(read_all(stream), all);
  stream.verify();
  for (int64_t begin = 0; begin + 5000 < stream.num_tokens(); begin += 4999) {
    std::vector<int64_t> part(5000);
    stream.read(begin, part);
    ASSERT_TRUE(std::equal(part.begin(), part.end(), all.begin() + begin));
  }
  int64_t end = 0;
  for (int64_t d = 0; d < stream.num_documents(); ++d) {
    const TokenStream::Range range = stream.document(d);
    ASSERT_EQ(range.begin, end);
    end = range.end;
    ASSERT_EQ(all[static_cast<size_t>(end) - 1], 256);
    ASSERT_EQ(std::count(all.begin() + range.begin, all.begin() + end, 256), 1);
  }
  EXPECT_EQ(end, stream.num_tokens());
}

TEST(Shards, CutDoesNotChangeTheStream) {
  const TestFolder folder;
  write_set(folder / "one", 50, 1 << 30);
  write_set(folder / "many", 50, 1);
  EXPECT_EQ(TokenStream::open({folder / "many"}).sets()[0].shards.size(), 50u);
  EXPECT_EQ(read_all(TokenStream::open({folder / "one"})), read_all(TokenStream::open({folder / "many"})));
}

TEST(Shards, SeveralSetsAreOneStream) {
  const TestFolder folder;
  Ids all = write_set(folder / "a", 10, 1 << 20, 1);
  const Ids b = write_set(folder / "b", 10, 1 << 20, 2);
  all.insert(all.end(), b.begin(), b.end());
  const TokenStream stream = TokenStream::open({folder / "a", folder / "b"});
  EXPECT_EQ(read_all(stream), all);
  EXPECT_EQ(stream.num_documents(), 20);
  EXPECT_NE(stream.fingerprint(), TokenStream::open({folder / "b", folder / "a"}).fingerprint());
  EXPECT_EQ(stream.fingerprint(), TokenStream::open({folder / "a", folder / "b"}).fingerprint());
}

TEST(Shards, RawFilesAsOlmoHasThem) {
  const TestFolder folder;
  const Ids all = write_set(folder / "s", 20, 5000);
  std::vector<std::string> files;
  const auto name = [&](int i) {
    return folder / std::string("s/0000").append(std::to_string(i)).append(".bin");
  };
  for (int i = 0; fs::exists(name(i)); ++i) {
    files.push_back(name(i));
  }
  const TokenStream stream = TokenStream::open_raw(files, {TokenType::kUint16, 257, 256});
  EXPECT_EQ(read_all(stream), all);
  EXPECT_EQ(stream.num_documents(), 0);
  EXPECT_TRUE(stream.sets().empty());
  const TokenStream small = TokenStream::open_raw(files, {TokenType::kUint16, 200, {}});
  EXPECT_NE(user_error([&] { read_all(small); }).find("the vocabulary has 200"), std::string::npos);
  write(folder / "odd.bin", "12345");
  EXPECT_NE(user_error([&] {
              TokenStream::open_raw({folder / "odd.bin"}, {TokenType::kUint32, 9, {}});
            }).find("torn"),
            std::string::npos);
}

TEST(Shards, AlteredOrTornIsFound) {
  const TestFolder folder;
  const std::string set = folder / "s";
  write_set(set, 1000, 1 << 30);
  const auto open = [&] { return TokenStream::open({set}); };
  // A byte in the third block: the first can still be read.
  flip(set + "/00000.bin", 2 * kShardBlockBytes + 5);
  const TokenStream altered = open();
  std::vector<int32_t> part(100);
  altered.read(0, part);
  EXPECT_NE(user_error([&] { altered.read(kShardBlockBytes, part); }).find("00000.bin: was altered"),
            std::string::npos);
  EXPECT_NE(user_error([&] { altered.verify(); }).find("was altered"), std::string::npos);
  flip(set + "/00000.bin", 2 * kShardBlockBytes + 5);
  open().verify();

  flip(set + "/00000.idx", 40);
  EXPECT_NE(user_error(open).find("00000.idx: is torn"), std::string::npos);
  flip(set + "/00000.idx", 40);
  fs::resize_file(set + "/00000.idx", 50);
  EXPECT_NE(user_error(open).find("00000.idx: is torn"), std::string::npos);
  fs::remove(set + "/00000.idx");
  EXPECT_NE(user_error(open).find("00000.idx: cannot be read"), std::string::npos);
  fs::resize_file(set + "/00000.bin", 100);
  EXPECT_NE(user_error(open).find("00000.bin: is torn"), std::string::npos);
  EXPECT_NE(user_error([&] { TokenStream::open({folder.path()}); }).find("has no tokens.json"),
            std::string::npos);
}

TEST(Shards, InfoTornOrHostile) {
  const TestFolder folder;
  write_set(folder / "s", 5, 1000);
  const std::string json = read_file(folder / "s/tokens.json", 1 << 20);
  for (size_t size = 0; size + 2 < json.size(); size += 11) {
    user_error([&] { TokenSetInfo::parse(json.substr(0, size), "t"); });
  }
  nlohmann::json hostile = nlohmann::json::parse(json);
  hostile["shards"][0]["file"] = "../../etc/x.bin";
  EXPECT_NE(user_error([&] { TokenSetInfo::parse(hostile.dump(), "t"); }).find("shards[0].file"),
            std::string::npos);
  hostile = nlohmann::json::parse(json);
  hostile["shards"][0]["tokens"] = -1;
  EXPECT_NE(user_error([&] { TokenSetInfo::parse(hostile.dump(), "t"); }).find("shards[0].tokens"),
            std::string::npos);
  hostile = nlohmann::json::parse(json);
  hostile["tokens"] = 1;
  EXPECT_NE(user_error([&] { TokenSetInfo::parse(hostile.dump(), "t"); }).find("but the shards have"),
            std::string::npos);
}

TEST(ShardIndex, AnyBytesAreSafe) {
  const std::string index = write_shard_index(100, {0, 50}, {1});
  ShardIndex::parse(index, 200, "i");
  for (size_t size = 0; size < index.size(); ++size) {
    user_error([&] { ShardIndex::parse(index.substr(0, size), 200, "i"); });
  }
  for (size_t i = 8; i < 24; ++i) {  // the counts
    std::string changed = index;
    changed[i] = '\xFF';
    user_error([&] { ShardIndex::parse(changed, 200, "i"); });
  }
}

TEST(Shards, CutShortWhileInUseIsAnError) {
  const TestFolder folder;
  write_set(folder / "a", 40, 1000000);
  const TokenStream stream = TokenStream::open({folder / "a"});
  Ids ids(100);
  stream.read(0, ids);
  fs::resize_file(folder / "a/00000.bin", 50);
  EXPECT_NE(user_error([&] { stream.read(0, ids); }).find("00000.bin: has become shorter"),
            std::string::npos);
  EXPECT_NE(user_error([&] { stream.verify(); }).find("00000.bin"), std::string::npos);
}

TEST(Shards, TokenizerOfASetIsVerified) {
  const TestFolder folder;
  write(folder / "a.txt", "text");
  auto json = small_tokenizer({{"a", "b"}});
  json["added_tokens"] = {added_token(257, "<|endoftext|>")};
  write(folder / "x.json", json.dump());
  for (const std::string& tokenizer : {std::string("byte"), folder / "x.json"}) {
    const TestFolder out;
    tokenize({.inputs = {folder / "a.txt"}, .out = out / "set"}, Tokenizer::load(tokenizer),
             [](const auto&) {});
    EXPECT_EQ(tokenizer_of_set(out / "set").sha256(), Tokenizer::load(tokenizer).sha256());
    json["model"]["ignore_merges"] = true;
    write(out / "set/tokenizer.json", json.dump());
    EXPECT_NE(user_error([&] { tokenizer_of_set(out / "set"); }).find("is not the tokenizer that the shards"),
              std::string::npos);
    fs::remove(out / "set/tokenizer.json");
    user_error([&] { tokenizer_of_set(out / "set"); });
  }
}

// The byte tokenizer had another hash when it was read from its own file.
TEST(Shards, ThoseOfTheByteTokenizersFileStillOpen) {
  const TestFolder folder;
  write_set(folder / "a", 4, 1000);
  write_set(folder / "b", 4, 1000);
  const std::string file = folder / "b/tokens.json";
  auto info = parse_json(read_file(file, 100000), file);
  info["tokenizer_sha256"] = sha256_hex(Tokenizer::bytes().json());
  write(file, info.dump());
  const TokenStream stream = TokenStream::open({folder / "a", folder / "b"});
  stream.check_tokenizer(Tokenizer::bytes());
  stream.check_tokenizer(Tokenizer::parse(Tokenizer::bytes().json(), "model/tokenizer.json"));
}

TEST(Shards, TokenizerMustFit) {
  const TestFolder folder;
  write_set(folder / "a", 2, 1000);
  const TokenStream stream = TokenStream::open({folder / "a"});
  stream.check_tokenizer(Tokenizer::bytes());
  auto json = small_tokenizer({});
  json["added_tokens"] = {added_token(256, "<|endoftext|>")};
  const Tokenizer other = Tokenizer::parse(json.dump(), "other.json");
  EXPECT_NE(user_error([&] { stream.check_tokenizer(other); }).find("were made with byte"),
            std::string::npos);

  fs::create_directory(folder / "b");
  ShardWriter writer(folder / "b", other, 1000);
  writer.add(Ids{1, 2}, "x", 2);
  writer.finish();
  EXPECT_NE(user_error([&] {
              TokenStream::open({folder / "a", folder / "b"});
            }).find("made with tokenizer other"),
            std::string::npos);
  const Tokenizer no_end = Tokenizer::parse(small_tokenizer({}).dump(), "x.json");
  EXPECT_NE(user_error([&] { ShardWriter(folder / "c", no_end, 5); }).find("no token that ends documents"),
            std::string::npos);
}

TEST(Entropy, OfKnownDistributions) {
  const std::vector<uint64_t> uniform(8, 1000), one = {0, 5, 0}, half = {1, 1, 2};
  EXPECT_NEAR(unigram_entropy(uniform), std::log(8.0), 1e-12);
  EXPECT_EQ(unigram_entropy(one), 0);
  EXPECT_NEAR(unigram_entropy(half), 1.5 * std::log(2.0), 1e-12);
  EXPECT_EQ(unigram_entropy({}), 0);
}

TEST(Tokenize, SameForAnyNumberOfWorkers) {
  const TestFolder folder;
  std::mt19937 random(3);
  for (int f = 0; f < 3; ++f) {
    std::string lines;
    for (int d = 0; d < 500; ++d) {
      std::string text;
      for (size_t i = 0, size = random() % 4000; i < size; ++i)
        text += static_cast<char>('a' + random() % 26);
      lines += nlohmann::json{{"text", text}}.dump() + "\n";
    }
    write(folder / std::to_string(f).append(".jsonl"), lines);
  }
  write(folder / "g.txt", "no \xFF UTF-8");
  write(folder / "h.txt", "");
  auto json = small_tokenizer({{"a", "b"}});
  json["added_tokens"] = {added_token(257, "<|endoftext|>")};
  const Tokenizer tokenizer = Tokenizer::parse(json.dump(), "t.json");
  TokenizeOptions options{.inputs = {folder / "*.jsonl", folder / "*.txt"}, .shard_tokens = 300000};
  std::vector<std::string> fingerprints;
  for (const int workers : {1, 2, 7}) {
    options.workers = workers;
    options.out = folder / std::to_string(workers).append("-workers");
    int64_t last = 0;
    const TokenizeResult result = tokenize(options, tokenizer, [&](const TokenizeProgress& now) {
      EXPECT_GE(now.tokens, last);
      last = now.tokens;
    });
    EXPECT_EQ(result.altered_documents, 1);
    EXPECT_GE(result.empty_documents, 1);
    EXPECT_EQ(last, result.info.tokens);
    EXPECT_EQ(result.info.documents + result.empty_documents, 1502);
    const TokenStream stream = TokenStream::open({options.out});
    stream.verify();
    fingerprints.push_back(stream.fingerprint());
    const Ids ids = read_all(stream);
    std::vector<uint64_t> counts(258);
    for (const int32_t id : ids) ++counts[static_cast<size_t>(id)];
    EXPECT_NEAR(result.info.unigram_entropy, unigram_entropy(counts), 1e-12);
  }
  EXPECT_EQ(fingerprints[0], fingerprints[1]);
  EXPECT_EQ(fingerprints[0], fingerprints[2]);
}

TEST(Tokenize, FirstErrorIsReportedAndNothingRemains) {
  const TestFolder folder;
  std::string lines;
  for (int i = 0; i < 20000; ++i) {
    lines += i == 12000 || i == 19000 ? "{\"text\": 5}\n" : "{\"text\": \"" + std::string(300, 'x') + "\"}\n";
  }
  write(folder / "a.jsonl", lines);
  for (int round = 0; round < 5; ++round) {
    const TokenizeOptions options{.inputs = {folder / "a.jsonl"}, .out = folder / "out", .workers = 4};
    const std::string message =
        user_error([&] { tokenize(options, Tokenizer::bytes(), [](const auto&) {}); });
    EXPECT_NE(message.find("a.jsonl:12001: field"), std::string::npos) << message;
    EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), {}), 1);
  }
}

}  // namespace
}  // namespace seednorm::lab

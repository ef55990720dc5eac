// The parser of safetensors headers: files as they should be, and every way in which they should not.
#include <gtest/gtest.h>

#include <string>

#include "lab/tensors/safetensors_header.h"
#include "tests/lab/support.h"

namespace seednorm::lab {
namespace {

// A file of this header and so many bytes of tensors.
std::string file_of(const std::string& header, size_t data_bytes) {
  std::string out;
  for (size_t i = 0; i < 8; ++i) out += static_cast<char>(static_cast<uint64_t>(header.size()) >> (8 * i));
  return out + header + std::string(data_bytes, '\1');
}

std::string tensor(const std::string& name, const std::string& shape, int64_t begin, int64_t end,
                   const std::string& dtype = "F32") {
  return "\"" + name + R"(":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":[)" +
         std::to_string(begin) + "," + std::to_string(end) + "]}";
}

std::string error_of(const std::string& file) {
  return user_error([&] { parse_safetensors(file, "model.safetensors"); });
}
std::string error_of(const std::string& header, size_t data_bytes) {
  return error_of(file_of(header, data_bytes));
}

void expect_error(const std::string& message, const std::vector<std::string>& parts) {
  EXPECT_EQ(message.find("model.safetensors: "), 0u) << message;
  EXPECT_LT(message.size(), 400u);
  for (const std::string& part : parts) EXPECT_NE(message.find(part), std::string::npos) << message;
}

TEST(Safetensors, TensorsInTheOrderOfTheirBytes) {
  const std::string header = R"({"__metadata__":{"format":"pt"},)" + tensor("b", "[2,3]", 4, 28) + "," +
                             tensor("a", "[2]", 0, 4, "BF16") + "," + tensor("none", "[0,5]", 28, 28) + "," +
                             tensor("scalar", "[]", 28, 32) + "}   ";
  const auto tensors = parse_safetensors(file_of(header, 32), "model.safetensors");
  ASSERT_EQ(tensors.size(), 4u);
  EXPECT_EQ(tensors[0].name, "a");
  EXPECT_EQ(tensors[0].dtype, "BF16");
  EXPECT_EQ(tensors[0].offset, 8 + header.size());
  EXPECT_EQ(tensors[1].shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(tensors[1].bytes, 24u);
  EXPECT_EQ(tensors[2].bytes, 0u);
  EXPECT_EQ(tensors[3].shape, std::vector<int64_t>());
  EXPECT_TRUE(parse_safetensors(file_of("{}", 0), "model.safetensors").empty());
}

TEST(Safetensors, CutOffAnywhere) {
  const std::string file =
      file_of("{" + tensor("a", "[4]", 0, 16) + "," + tensor("b", "[2]", 16, 24) + "}", 24);
  for (size_t size = 0; size < file.size(); ++size) expect_error(error_of(file.substr(0, size)), {});
  expect_error(error_of(file + "x"), {"1 bytes at the end belong to no tensor"});
}

TEST(Safetensors, HeaderLength) {
  std::string file = file_of("{}", 8);
  for (size_t i = 0; i < 8; ++i) file[i] = '\xff';
  expect_error(error_of(file), {"header length: 18446744073709551615 bytes"});
  expect_error(error_of(std::string("\x00\x00\x00\x02\x00\x00\x00\x00{}", 10)), {"header length: 33554432"});
  expect_error(error_of(std::string("\x10\x00\x00\x00\x00\x00\x00\x00{}", 10)), {"ends inside its header"});
  expect_error(error_of(std::string(8, '\0')), {"not valid JSON"});
}

TEST(Safetensors, Json) {
  expect_error(error_of("{\"a\":", 0), {"not valid JSON"});
  expect_error(error_of("[]", 0), {"expected an object"});
  expect_error(error_of("7", 0), {"expected an object"});
  expect_error(error_of("{\"a\":7}", 0), {"a: expected an object"});
  expect_error(error_of("{\"a\xff\":7}", 0), {"not valid JSON"});
  expect_error(error_of("{\"__metadata__\":7}", 0), {"__metadata__: expected an object"});
  expect_error(error_of(std::string(1000000, '['), 0), {"nested deeper than 3 levels"});
  std::string nested;
  for (int i = 0; i < 10000; ++i) nested += "{\"a\":";
  expect_error(error_of(nested, 0), {"nested deeper than 3 levels"});
  const std::string a = tensor("a", "[1]", 0, 4);
  expect_error(error_of("{" + a + "," + a + "}", 4), {"the key \"a\" twice"});
  expect_error(error_of(R"({"a":{"dtype":"F32","dtype":"F16","shape":[],"data_offsets":[0,4]}})", 4),
               {"the key \"dtype\" twice"});
  expect_error(error_of("{" + tensor("two\\nlines", "[1]", 0, 4) + "}", 4), {"is no name of a tensor"});
  expect_error(error_of("{" + tensor(std::string(100000, 'n'), "[1]", 0, 4) + "}", 4),
               {"is no name of a tensor"});
}

TEST(Safetensors, Fields) {
  expect_error(error_of(R"({"a":{"shape":[],"data_offsets":[0,4]}})", 4), {"a: has no \"dtype\""});
  expect_error(error_of(R"({"a":{"dtype":"F32","data_offsets":[0,4]}})", 4), {"a: has no \"shape\""});
  expect_error(error_of(R"({"a":{"dtype":"F32","shape":[]}})", 4), {"a: has no \"data_offsets\""});
  expect_error(error_of("{" + tensor("a", "[1]", 0, 4, "F8_E4M3") + "}", 4),
               {"a.dtype: \"F8_E4M3\" is not supported"});
  expect_error(error_of("{" + tensor("a", "[-1]", 0, 4) + "}", 4), {"a.shape[0]", "got -1"});
  expect_error(error_of("{" + tensor("a", "[1.0]", 0, 4) + "}", 4), {"a.shape[0]", "got 1.0"});
  expect_error(error_of("{" + tensor("a", "1", 0, 4) + "}", 4), {"a.shape: expected an array"});
  expect_error(error_of("{" + tensor("a", "[1,1,1,1,1,1,1,1,1]", 0, 4) + "}", 4), {"a.shape", "dimensions"});
  expect_error(error_of("{" + tensor("a", "[4294967296,4294967296]", 0, 4) + "}", 4),
               {"a.shape", "too large"});
  expect_error(error_of("{" + tensor("a", "[0,4294967296,4294967296]", 0, 0) + "}", 0),
               {"a.shape", "too large"});
  expect_error(error_of("{" + tensor("a", "[18446744073709551615]", 0, 4) + "}", 4), {"a.shape[0]"});
}

TEST(Safetensors, Offsets) {
  const std::string shape = R"({"a":{"dtype":"F32","shape":[1],"data_offsets":)";
  expect_error(error_of(shape + "[0]}}", 4), {"a.data_offsets: expected two"});
  expect_error(error_of(shape + "[0,4,8]}}", 4), {"a.data_offsets: expected two"});
  expect_error(error_of(shape + "[-4,0]}}", 4), {"a.data_offsets[0]", "got -4"});
  expect_error(error_of(shape + "[4,0]}}", 4), {"a.data_offsets", "before the beginning"});
  expect_error(error_of(shape + "[0,8]}}", 8), {"a.data_offsets", "8 bytes, but shape and dtype make 4"});
  expect_error(error_of(shape + "[9223372036854775803,9223372036854775807]}}", 4),
               {"a.data_offsets", "only 4 bytes"});
  expect_error(error_of(shape + "[4,8]}}", 4), {"only 4 bytes"});
  expect_error(error_of(shape + "[4,8]}}", 8), {"\"a\": data_offsets: leave a gap"});
  expect_error(error_of("{" + tensor("a", "[2]", 0, 8) + "," + tensor("b", "[2]", 4, 12) + "}", 12),
               {"\"b\": data_offsets: overlap"});
  expect_error(error_of("{" + tensor("a", "[2]", 0, 8) + "," + tensor("b", "[2]", 0, 8) + "}", 8),
               {"\"b\": data_offsets: overlap"});
}

// Every single byte of a good file changed in every bit: an error or a file, never a crash.
TEST(Safetensors, AnyBitMayFlip) {
  const std::string file =
      file_of("{" + tensor("a", "[4]", 0, 16) + "," + tensor("b", "[2,1]", 16, 24) + "}", 24);
  for (size_t i = 0; i < file.size() - 24; ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string changed = file;
      changed[i] = static_cast<char>(changed[i] ^ (1 << bit));
      try {
        for (const StoredTensor& t : parse_safetensors(changed, "f"))
          EXPECT_LE(t.offset + t.bytes, file.size());
      } catch (const UserError& error) {
        EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
      }
    }
  }
}

}  // namespace
}  // namespace seednorm::lab

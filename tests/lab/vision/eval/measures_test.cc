#include <gtest/gtest.h>
#include <zlib.h>

#include <cmath>
#include <limits>
#include <random>

#include "lab/base/file.h"
#include "lab/vision/eval/frechet.h"
#include "lab/vision/eval/npz.h"
#include "tests/lab/support.h"

namespace seednorm::lab {
namespace {

TEST(Moments, AreThoseOfTwoPasses) {
  constexpr int64_t kRows = 200, kDim = 7;
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> x(kRows * kDim);
  for (size_t i = 0; i < x.size(); ++i)
    x[i] = 1000 + normal(random) * 0.01F * static_cast<float>(1 + i % kDim);
  FeatureMoments moments(kDim), first(kDim), second(kDim), none(kDim);
  moments.add(x);
  first.add(std::span(x).first(60 * kDim));
  second.add(std::span(x).subspan(60 * kDim));
  first.merge(second);
  none.merge(first);
  none.merge(FeatureMoments(kDim));
  std::vector<double> mean(kDim), covariance(kDim * kDim);
  for (size_t i = 0; i < x.size(); ++i) mean[i % kDim] += x[i] / double(kRows);
  for (int64_t r = 0; r < kRows; ++r) {
    for (int64_t i = 0; i < kDim; ++i) {
      for (int64_t j = 0; j < kDim; ++j) {
        covariance[i * kDim + j] += (x[r * kDim + i] - mean[i]) * (x[r * kDim + j] - mean[j]) / (kRows - 1);
      }
    }
  }
  for (const FeatureMoments* m : {&moments, &first, &none}) {
    EXPECT_EQ(m->count(), kRows);
    for (int64_t i = 0; i < kDim; ++i) EXPECT_TRUE(std::abs(m->mean()[i] - mean[i]) <= 1e-10);
    // Variances are 1e-4 and up: the sums are exact to some 1e-13 of them.
    for (int64_t i = 0; i < kDim * kDim; ++i) {
      EXPECT_TRUE(std::abs(m->covariance()[i] - covariance[i]) <= 1e-12) << i;
    }
  }
}

TEST(Moments, RefuseWhatIsNotFinite) {
  FeatureMoments moments(2);
  moments.add(std::vector<float>{1, 2});
  EXPECT_EQ(user_error([&] { moments.covariance(); }), "a covariance needs at least two pictures");
  const std::vector<float> bad = {1, 2, std::numeric_limits<float>::quiet_NaN(), 2};
  EXPECT_EQ(user_error([&] { moments.add(bad); }),
            "the features of picture 2 are not finite; nothing can be measured");
  EXPECT_THROW(moments.add(std::vector<float>{1}), std::invalid_argument);
}

NpzImages some_images() {
  NpzImages images{2, 3, 4, {}};
  for (int i = 0; i < 2 * 3 * 4 * 3; ++i) images.pixels.push_back(static_cast<uint8_t>(i * 7));
  return images;
}

std::string written(const NpzImages& images) {
  const TestFolder folder;
  write_npz(folder / "a.npz", images);
  return read_file(folder / "a.npz", 1 << 20);
}

TEST(Npz, WritesAndReads) {
  const NpzImages images = some_images(), read = parse_npz(written(images), "a.npz");
  EXPECT_EQ(read.num, 2);
  EXPECT_EQ(read.height, 3);
  EXPECT_EQ(read.width, 4);
  EXPECT_EQ(read.pixels, images.pixels);
  NpzImages wrong = images;
  wrong.num = 3;
  EXPECT_THROW(written(wrong), std::invalid_argument);
}

std::string little_endian(uint64_t value, int size) {
  std::string out;
  for (int i = 0; i < size; ++i) out += static_cast<char>(value >> 8 * i);
  return out;
}

// An archive of one member as numpy.savez_compressed writes it, but for its numbers in 64 bits.
std::string archive_of(const std::string& name, const std::string& array, bool is_packed) {
  std::string data = array;
  if (is_packed) {
    z_stream stream = {};
    deflateInit2(&stream, 6, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY);
    data.resize(deflateBound(&stream, array.size()));
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(array.data()));
    stream.avail_in = static_cast<uInt>(array.size());
    stream.next_out = reinterpret_cast<Bytef*>(data.data());
    stream.avail_out = static_cast<uInt>(data.size());
    deflate(&stream, Z_FINISH);
    data.resize(stream.total_out);
    deflateEnd(&stream);
  }
  const uLong crc = crc32(0, reinterpret_cast<const Bytef*>(array.data()), static_cast<uInt>(array.size()));
  const auto common = [&](uint64_t packed, uint64_t size, size_t extra) {
    return little_endian(45, 2) + little_endian(0, 2) + little_endian(is_packed ? 8 : 0, 2) +
           little_endian(0, 4) + little_endian(crc, 4) + little_endian(packed, 4) + little_endian(size, 4) +
           little_endian(name.size(), 2) + little_endian(extra, 2);
  };
  const std::string zip64 = little_endian(1, 2) + little_endian(16, 2) + little_endian(array.size(), 8) +
                            little_endian(data.size(), 8);
  std::string out = "PK\3\4" + common(0xffffffff, 0xffffffff, zip64.size()) + name + zip64 + data;
  const size_t directory = out.size();
  out += "PK\1\2" + little_endian(45, 2) + common(0xffffffff, 0xffffffff, zip64.size()) +
         std::string(14, '\0') + name + zip64;
  const size_t size = out.size() - directory;
  return out + "PK\5\6" + little_endian(0, 4) + little_endian(1, 2) + little_endian(1, 2) +
         little_endian(size, 4) + little_endian(directory, 4) + little_endian(0, 2);
}

std::string array_of(const std::string& header, const std::string& data) {
  return std::string("\x93NUMPY\1\0", 8) + little_endian(header.size(), 2) + header + data;
}

TEST(Npz, ReadsPackedOnes) {
  const std::string data(2 * 2 * 2 * 3, '\7');
  const std::string array =
      array_of("{'descr': '|u1', 'fortran_order': False, 'shape': (2, 2, 2, 3), }\n", data);
  for (const bool is_packed : {false, true}) {
    const NpzImages images = parse_npz(archive_of("arr_0.npy", array, is_packed), "a.npz");
    EXPECT_EQ(images.num, 2);
    EXPECT_EQ(std::string(images.pixels.begin(), images.pixels.end()), data);
  }
}

TEST(Npz, ReadsNumbers) {
  const auto parse = [](const std::string& type, const std::string& shape, const std::string& data) {
    const std::string header =
        "{'descr': '" + type + "', 'fortran_order': False, 'shape': " + shape + ", }\n";
    return parse_npz_numbers(archive_of("moments.npy", array_of(header, data), true), "moments", "a.npz");
  };
  // Of float16: 1, -2, the largest, the smallest normal and subnormal numbers, both zeros, infinity.
  std::string halves;
  for (const int bits : {0x3c00, 0xc000, 0x7bff, 0x0400, 0x0001, 0x0000, 0x8000, 0x7c00}) {
    halves += little_endian(static_cast<uint64_t>(bits), 2);
  }
  const NpzNumbers half = parse("<f2", "(2, 4)", halves);
  EXPECT_EQ(half.shape, (std::vector<int64_t>{2, 4}));
  EXPECT_EQ(half.values, (std::vector<float>{1, -2, 65504, std::ldexp(1.0F, -14), std::ldexp(1.0F, -24), 0, 0,
                                             std::numeric_limits<float>::infinity()}));
  EXPECT_TRUE(std::signbit(half.values[6]));
  EXPECT_TRUE(std::isnan(parse("<f2", "(1,)", little_endian(0x7e00, 2)).values[0]));
  const NpzNumbers whole = parse("<f4", "(2,)", little_endian(0x3fc00000, 4) + little_endian(0xc0490fdb, 4));
  EXPECT_EQ(whole.values, (std::vector<float>{1.5F, -3.14159274F}));
  EXPECT_EQ(user_error([&] { parse("<f8", "(1,)", std::string(8, 'x')); }),
            "a.npz: moments holds \"'<f8'\"; expected float16 or float32");
  EXPECT_EQ(user_error([&] { parse("<f4", "(2,)", std::string(7, 'x')); }),
            "a.npz: moments has the shape \"(2,)\", which its bytes do not fill");
  EXPECT_EQ(user_error([&] { parse_npz_numbers(written(some_images()), "moments", "a.npz"); }),
            "a.npz: has no array moments, but \"arr_0.npy\"");
}

TEST(Npz, SaysWhatIsThereInstead) {
  const auto error = [](const std::string& bytes) { return user_error([&] { parse_npz(bytes, "a.npz"); }); };
  const auto of = [&](const std::string& header, const std::string& data) {
    return error(archive_of("arr_0.npy", array_of(header, data), true));
  };
  const std::string expected = "; expected uint8 pictures [n, height, width, 3]";
  EXPECT_EQ(of("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 1, 3), }", std::string(12, 'x')),
            "a.npz: arr_0 holds \"'<f4'\"" + expected);
  EXPECT_EQ(of("{'descr': '|u1', 'fortran_order': False, 'shape': (1, 3, 2, 2), }", std::string(12, 'x')),
            "a.npz: arr_0 has the shape \"(1, 3, 2, 2)\"" + expected);
  EXPECT_EQ(of("{'descr': '|u1', 'fortran_order': False, 'shape': (12,), }", std::string(12, 'x')),
            "a.npz: arr_0 has the shape \"(12,)\"" + expected);
  EXPECT_EQ(of("{'descr': '|u1', 'fortran_order': True, 'shape': (1, 2, 2, 3), }", std::string(12, 'x')),
            "a.npz: arr_0 is in Fortran's order" + expected);
  EXPECT_EQ(of("{'descr': '|u1', 'fortran_order': False, 'shape': (1, 2, 2, 3), }", std::string(11, 'x')),
            "a.npz: arr_0 has the shape \"(1, 2, 2, 3)\", which its bytes do not fill");
  EXPECT_EQ(of("{'descr': '|u1', 'fortran_order': False, 'shape': (1, 2, 2, 3), }", std::string(13, 'x')),
            "a.npz: arr_0 has not as many bytes as its shape says");
  EXPECT_EQ(
      of("{'descr': '|u1', 'fortran_order': False, 'shape': (9999999999, 9999999999, 9999999999, 3), }", "x"),
      "a.npz: arr_0 has the shape \"(9999999999, 9999999999, 9999999999, 3)\", which its bytes do not fill");
  EXPECT_EQ(error(archive_of("mu.npy", "x", false)), "a.npz: has no array arr_0, but \"mu.npy\"");
  EXPECT_EQ(error(archive_of("arr_0.npy", "x", false)), "a.npz: arr_0 is no array of NumPy");
  EXPECT_EQ(error("text"), "a.npz: is no .npz file");
  const std::string whole = written(some_images());
  for (size_t size = 2; size < whole.size(); ++size)
    EXPECT_FALSE(error(whole.substr(0, size)).empty()) << size;
  std::string damaged = whole;
  damaged[200] = static_cast<char>(damaged[200] ^ 1);
  EXPECT_EQ(error(damaged), "a.npz: arr_0 is damaged: its checksum is wrong");
}

}  // namespace
}  // namespace seednorm::lab

#include "lab/vision/eval/npz.h"

#include <zlib.h>

#include <bit>
#include <charconv>
#include <cmath>
#include <optional>
#include <stdexcept>

#include "lab/base/error.h"
#include "lab/base/file.h"

namespace seednorm::lab {
namespace {

constexpr const char* kImages = "arr_0";  // the array of pictures
constexpr std::string_view kMember = "arr_0.npy", kEnding = ".npy", kMagic("\x93NUMPY", 6);
constexpr std::string_view kLocal("PK\3\4", 4), kCentral("PK\1\2", 4), kEnd("PK\5\6", 4);
constexpr uint32_t kIn64 = 0xffffffff;  // the number is in the extra field instead

[[noreturn]] void fail(const std::string& file, const std::string& what) {
  throw UserError(file + ": " + what);
}

// Little-endian.
uint64_t number(std::string_view bytes, size_t at, size_t size) {
  uint64_t value = 0;
  for (size_t i = size; i-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
  return value;
}
std::string little_endian(uint64_t value, size_t size) {
  std::string out;
  for (size_t i = 0; i < size; ++i) out += static_cast<char>(value >> 8 * i);
  return out;
}

uint32_t crc_of(std::string_view bytes) {
  uLong crc = crc32(0, nullptr, 0);
  while (!bytes.empty()) {
    const std::string_view part = bytes.substr(0, 1 << 30);
    crc = crc32(crc, reinterpret_cast<const Bytef*>(part.data()), static_cast<uInt>(part.size()));
    bytes.remove_prefix(part.size());
  }
  return static_cast<uint32_t>(crc);
}

// One file of a zip archive, as its directory lists it.
struct Member {
  std::string_view name;
  uint64_t method, crc, packed_size, size, offset;
};

// Zip64 puts numbers that do not fit 32 bits into the field with id 1, in this order.
void read_zip64(std::string_view extra, Member& member) {
  while (extra.size() >= 4) {
    const uint64_t id = number(extra, 0, 2), size = number(extra, 2, 2);
    if (size > extra.size() - 4) return;
    std::string_view field = extra.substr(4, size);
    extra.remove_prefix(4 + size);
    if (id != 1) continue;
    for (uint64_t* value : {&member.size, &member.packed_size, &member.offset}) {
      if (*value != kIn64 || field.size() < 8) continue;
      *value = number(field, 0, 8);
      field.remove_prefix(8);
    }
  }
}

Member find_member(std::string_view bytes, const std::string& array, const std::string& file) {
  const size_t end = bytes.rfind(kEnd);
  if (!bytes.starts_with("PK")) fail(file, "is no .npz file");
  if (end == std::string_view::npos || bytes.size() - end < 22) fail(file, "ends early");
  const uint64_t num = number(bytes, end + 10, 2);
  size_t at = number(bytes, end + 16, 4);
  std::string names;
  for (uint64_t i = 0; i < num; ++i) {
    if (at > bytes.size() || bytes.size() - at < 46 || bytes.substr(at, 4) != kCentral) {
      fail(file, "has a damaged directory");
    }
    const uint64_t name_size = number(bytes, at + 28, 2), extra_size = number(bytes, at + 30, 2);
    const uint64_t total = 46 + name_size + extra_size + number(bytes, at + 32, 2);
    if (total > bytes.size() - at) fail(file, "has a damaged directory");
    Member member{bytes.substr(at + 46, name_size), number(bytes, at + 10, 2), number(bytes, at + 16, 4),
                  number(bytes, at + 20, 4),        number(bytes, at + 24, 4), number(bytes, at + 42, 4)};
    read_zip64(bytes.substr(at + 46 + name_size, extra_size), member);
    if (member.name == array + std::string(kEnding)) return member;
    if (names.size() < 200) names += (names.empty() ? "" : ", ") + quote(member.name);
    at += total;
  }
  fail(file, "has no array " + array + ", but " + (names.empty() ? "nothing" : names));
}

// At most so many bytes as stated, whatever they unpack to.
std::string unpack(std::string_view packed, uint64_t size, const std::string& array,
                   const std::string& file) {
  std::string out;
  z_stream stream = {};
  if (inflateInit2(&stream, -15) != Z_OK) throw std::bad_alloc();
  std::vector<char> buffer(1 << 20);
  int status = Z_OK;
  while (status == Z_OK && out.size() <= size) {
    if (stream.avail_in == 0) {
      const std::string_view part = packed.substr(0, 1 << 30);
      stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(part.data()));
      stream.avail_in = static_cast<uInt>(part.size());
      packed.remove_prefix(part.size());
    }
    stream.next_out = reinterpret_cast<Bytef*>(buffer.data());
    stream.avail_out = static_cast<uInt>(buffer.size());
    status = inflate(&stream, Z_NO_FLUSH);
    out.append(buffer.data(), buffer.size() - stream.avail_out);
  }
  inflateEnd(&stream);
  if (status != Z_STREAM_END || out.size() != size) fail(file, array + " is damaged");
  return out;
}

std::string read_member(std::string_view bytes, const std::string& array, const std::string& file) {
  const Member member = find_member(bytes, array, file);
  if (member.offset > bytes.size() || bytes.size() - member.offset < 30 ||
      bytes.substr(member.offset, 4) != kLocal) {
    fail(file, array + " is damaged");
  }
  const uint64_t begin =
      member.offset + 30 + number(bytes, member.offset + 26, 2) + number(bytes, member.offset + 28, 2);
  if (begin > bytes.size() || member.packed_size > bytes.size() - begin) fail(file, "ends early");
  const std::string_view packed = bytes.substr(begin, member.packed_size);
  std::string out;
  if (member.method == 0) {
    if (member.packed_size != member.size) fail(file, array + " is damaged");
    out = packed;
  } else if (member.method == 8) {
    out = unpack(packed, member.size, array, file);
  } else {
    fail(file, array + " is packed by a method other than deflate");
  }
  if (crc_of(out) != member.crc) fail(file, array + " is damaged: its checksum is wrong");
  return out;
}

// The text behind 'key': up to the comma or bracket that ends it.
std::string_view value_of(std::string_view header, const std::string& key) {
  const size_t at = header.find("'" + key + "':");
  if (at == std::string_view::npos) return {};
  header.remove_prefix(at + key.size() + 3);
  header.remove_prefix(std::min(header.find_first_not_of(' '), header.size()));
  const size_t end = header.starts_with("(") ? header.find(')') : header.find_first_of(",}");
  return header.substr(0, end);
}

// The four sizes of "(2, 3, 4, 3", or nothing.
std::optional<std::vector<int64_t>> sizes_of(std::string_view text) {
  std::vector<int64_t> sizes;
  const char *at = text.data(), *end = at + text.size();
  if (at == end || *at++ != '(') return std::nullopt;
  while (at < end) {
    int64_t size = 0;
    const auto [next, error] = std::from_chars(at, end, size);
    if (error != std::errc() || size < 0) return std::nullopt;
    sizes.push_back(size);
    at = next;
    while (at < end && (*at == ',' || *at == ' ')) ++at;
  }
  return sizes;
}

// An array of NumPy: what its header says, and its numbers.
struct Array {
  std::string type, shape_text;
  bool is_fortran;
  std::optional<std::vector<int64_t>> shape;
  std::string numbers;
};

Array read_array(std::string_view bytes, const std::string& name, const std::string& file) {
  std::string array = read_member(bytes, name, file);
  if (!array.starts_with(kMagic) || array.size() < 12) fail(file, name + " is no array of NumPy");
  const size_t width = array[6] == 1 ? 2 : 4;
  const uint64_t header_size = number(array, 8, width), begin = 8 + width + header_size;
  if (begin > array.size()) fail(file, name + " is no array of NumPy");
  const std::string_view header = std::string_view(array).substr(8 + width, header_size);
  const std::string_view shape = value_of(header, "shape");
  Array out = {.type = std::string(value_of(header, "descr")),
               .shape_text = std::string(shape) + ")",
               .is_fortran = value_of(header, "fortran_order") != "False",
               .shape = sizes_of(shape)};
  out.numbers = std::move(array);
  out.numbers.erase(0, begin);
  return out;
}

// Errors (UserError): the array does not have so many bytes as its shape says.
void check_bytes(const Array& array, size_t each, const std::string& name, const std::string& file) {
  uint64_t total = each;
  for (const int64_t size : *array.shape) {
    if (size < 1 || static_cast<uint64_t>(size) > array.numbers.size() / total) {
      fail(file, name + " has the shape " + quote(array.shape_text) + ", which its bytes do not fill");
    }
    total *= static_cast<uint64_t>(size);
  }
  if (array.numbers.size() != total) fail(file, name + " has not as many bytes as its shape says");
}

float half(uint16_t bits) {
  const int exponent = bits >> 10 & 31;
  const auto fraction = static_cast<float>(bits & 1023);
  const float size = exponent == 0    ? std::ldexp(fraction, -24)
                     : exponent == 31 ? (fraction == 0 ? INFINITY : NAN)
                                      : std::ldexp(fraction + 1024, exponent - 25);
  return (bits >> 15) != 0 ? -size : size;
}

}  // namespace

NpzImages parse_npz(std::string_view bytes, const std::string& file) {
  const Array array = read_array(bytes, kImages, file);
  const std::string expected = "; expected uint8 pictures [n, height, width, 3]";
  if (array.type != "'|u1'" && array.type != "'<u1'")
    fail(file, "arr_0 holds " + quote(array.type) + expected);
  if (array.is_fortran) fail(file, "arr_0 is in Fortran's order" + expected);
  if (!array.shape || array.shape->size() != 4 || (*array.shape)[3] != 3) {
    fail(file, "arr_0 has the shape " + quote(array.shape_text) + expected);
  }
  check_bytes(array, 1, kImages, file);
  const std::vector<int64_t>& sizes = *array.shape;
  return {sizes[0], sizes[1], sizes[2], {array.numbers.begin(), array.numbers.end()}};
}

NpzNumbers parse_npz_numbers(std::string_view bytes, const std::string& name, const std::string& file) {
  const Array array = read_array(bytes, name, file);
  const bool is_half = array.type == "'<f2'";
  if (!is_half && array.type != "'<f4'") {
    fail(file, name + " holds " + quote(array.type) + "; expected float16 or float32");
  }
  if (array.is_fortran || !array.shape) {
    fail(file, name + " has the shape " + quote(array.shape_text) + "; expected numbers in C's order");
  }
  const size_t each = is_half ? 2 : 4;
  check_bytes(array, each, name, file);
  NpzNumbers out = {*array.shape, std::vector<float>(array.numbers.size() / each)};
  for (size_t i = 0; i < out.values.size(); ++i) {
    const auto bits = static_cast<uint32_t>(number(array.numbers, i * each, each));
    out.values[i] = is_half ? half(static_cast<uint16_t>(bits)) : std::bit_cast<float>(bits);
  }
  return out;
}

void write_npz(const std::filesystem::path& file, const NpzImages& images) {
  if (static_cast<int64_t>(images.pixels.size()) != images.num * images.height * images.width * 3) {
    throw std::invalid_argument("write_npz: the pixels are not as many as the shape says");
  }
  std::string header = "{'descr': '|u1', 'fortran_order': False, 'shape': (" + std::to_string(images.num) +
                       ", " + std::to_string(images.height) + ", " + std::to_string(images.width) + ", 3), }";
  header.resize((10 + header.size() + 64) / 64 * 64 - 11, ' ');  // so that the pixels are aligned
  header += '\n';
  std::string array(kMagic);
  array += std::string("\1\0", 2) + little_endian(header.size(), 2) + header;
  array.append(images.pixels.begin(), images.pixels.end());
  if (array.size() >= kIn64) throw std::invalid_argument("write_npz: pictures of 4 GB or more");
  // Version 2.0, not packed, 1 January 1980.
  const std::string common = little_endian(20, 2) + little_endian(0, 4) + little_endian(0x00210000, 4) +
                             little_endian(crc_of(array), 4) + little_endian(array.size(), 4) +
                             little_endian(array.size(), 4) + little_endian(kMember.size(), 2) +
                             little_endian(0, 2);
  std::string out = std::string(kLocal) + common + std::string(kMember) + array;
  const size_t directory = out.size();
  out += std::string(kCentral) + little_endian(20, 2) + common + std::string(14, '\0') + std::string(kMember);
  const size_t directory_size = out.size() - directory;
  out += std::string(kEnd) + little_endian(0, 4) + little_endian(1, 2) + little_endian(1, 2) +
         little_endian(directory_size, 4) + little_endian(directory, 4) + little_endian(0, 2);
  replace_file(file, out);
}

}  // namespace seednorm::lab

#include "lab/train/event_file.h"

#include <array>
#include <bit>

namespace seednorm::lab {
namespace {

// CRC-32C (Castagnoli): bits reversed, polynomial 0x1EDC6F41.
constexpr std::array<uint32_t, 256> kCrcTable = [] {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) * 0x82F63B78U);
    table[i] = crc;
  }
  return table;
}();

// TFRecord's mask, so that a checksum of data that contain checksums remains useful.
uint32_t masked_crc(std::string_view bytes) {
  uint32_t crc = ~uint32_t{0};
  for (const char c : bytes) crc = (crc >> 8) ^ kCrcTable[(crc ^ static_cast<unsigned char>(c)) & 0xFF];
  return std::rotr(~crc, 15) + 0xA282EAD8U;
}

template <class T>
void append_little_endian(T value, std::string& out) {
  for (size_t i = 0; i < sizeof(T); ++i) out += static_cast<char>(value >> (8 * i) & 0xFF);
}

// The wire format of protocol buffers.
enum Wire { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };
void append_varint(uint64_t value, std::string& out) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}
void append_key(int field, Wire wire, std::string& out) {
  append_varint(static_cast<uint64_t>(field << 3 | wire), out);
}
void append_bytes(int field, std::string_view bytes, std::string& out) {
  append_key(field, kBytes, out);
  append_varint(bytes.size(), out);
  out += bytes;
}

std::string record(std::string_view data) {
  std::string out;
  append_little_endian(uint64_t{data.size()}, out);
  append_little_endian(masked_crc(out), out);
  out += data;
  append_little_endian(masked_crc(data), out);
  return out;
}

// Event: wall_time = 1.
std::string event(double wall_time) {
  std::string out;
  append_key(1, kFixed64, out);
  append_little_endian(std::bit_cast<uint64_t>(wall_time), out);
  return out;
}

}  // namespace

std::string event_file_begin(double wall_time) {
  std::string data = event(wall_time);
  append_bytes(3, "brain.Event:2", data);  // Event: file_version = 3
  return record(data);
}

double event_time(std::string_view head) {
  // The time follows the length, its checksum and the field's key.
  constexpr size_t kAt = sizeof(uint64_t) + sizeof(uint32_t) + 1;
  static_assert(kAt + sizeof(uint64_t) == kEventHeadBytes);
  uint64_t bits = 0;
  for (size_t i = 0; i < sizeof(bits); ++i)
    bits |= uint64_t{static_cast<unsigned char>(head.at(kAt + i))} << (8 * i);
  return std::bit_cast<double>(bits);
}

std::string event_record(double wall_time, int64_t step,
                         const std::vector<std::pair<std::string, double>>& scalars) {
  std::string summary;
  for (const auto& [tag, number] : scalars) {
    std::string value;  // Summary.Value: tag = 1, simple_value = 2
    append_bytes(1, tag, value);
    append_key(2, kFixed32, value);
    append_little_endian(std::bit_cast<uint32_t>(static_cast<float>(number)), value);
    append_bytes(1, value, summary);  // Summary: value = 1
  }
  std::string data = event(wall_time);
  append_key(2, kVarint, data);  // Event: step = 2, summary = 5
  append_varint(static_cast<uint64_t>(step), data);
  append_bytes(5, summary, data);
  return record(data);
}

}  // namespace seednorm::lab

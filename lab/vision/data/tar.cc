#include "lab/vision/data/tar.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "lab/base/error.h"

namespace seednorm::lab {
namespace {

constexpr uint64_t kBlock = 512;
// Of the blocks that hold a long name or pax records.
constexpr uint64_t kMaxExtraBytes = 1 << 20;

bool is_zero(std::string_view bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](char c) { return c == 0; });
}

// The text of a field, which ends at the first zero or fills it.
std::string_view text_of(std::string_view field) {
  return field.substr(0, std::min(field.find('\0'), field.size()));
}

// A number in octal digits, or in GNU's form for large ones: its first bit set, then big-endian.
std::optional<uint64_t> number_of(std::string_view field) {
  uint64_t value = 0;
  if (static_cast<unsigned char>(field[0]) == 0x80) {
    if (!is_zero(field.substr(1, field.size() - 9))) return std::nullopt;
    for (const char c : field.substr(field.size() - 8)) value = value << 8 | static_cast<unsigned char>(c);
    return value;
  }
  const size_t begin = field.find_first_not_of(' ');
  if (begin == std::string_view::npos) return 0;
  const auto [end, error] = std::from_chars(field.data() + begin, field.data() + field.size(), value, 8);
  if (error != std::errc()) return std::nullopt;
  const std::string_view rest(end, field.data() + field.size() - end);
  return rest.empty() || rest[0] == ' ' || rest[0] == '\0' ? std::optional(value) : std::nullopt;
}

// The sum of the header's bytes, its own field taken for spaces.
bool has_right_checksum(std::string_view header) {
  uint64_t sum = 0;
  for (size_t i = 0; i < kBlock; ++i)
    sum += i >= 148 && i < 156 ? ' ' : static_cast<unsigned char>(header[i]);
  return number_of(header.substr(148, 8)) == sum;
}

class Reader {
 public:
  Reader(std::string_view bytes, const std::string& file) : bytes_(bytes), file_(file) {}

  std::vector<TarMember> read() {
    std::vector<TarMember> members;
    std::string long_name;              // of the next member, if not empty
    std::optional<uint64_t> long_size;  // likewise
    for (uint64_t at = 0;;) {
      if (bytes_.size() - at < kBlock) fail("ends early: its closing blocks are missing");
      const std::string_view header = bytes_.substr(at, kBlock);
      if (is_zero(header)) {
        if (at == 0) fail("is no tar archive: it begins with zeros");
        if (!is_zero(bytes_.substr(at)))
          fail("has data behind its end; join archives with tar --concatenate");
        return members;
      }
      if (!has_right_checksum(header)) {
        fail(at == 0 ? "is no tar archive"
                     : "is damaged: the header at byte " + std::to_string(at) + " is wrong");
      }
      std::string name = long_name.empty() ? name_of(header) : std::exchange(long_name, "");
      const auto stated = number_of(header.substr(124, 12));
      if (!stated) fail(quote(name) + " has no size");
      const uint64_t size = std::exchange(long_size, std::nullopt).value_or(*stated), data = at + kBlock;
      const char type = header[156];
      const bool has_data =
          type != '1' && type != '2' && type != '3' && type != '4' && type != '5' && type != '6';
      if (has_data && size > bytes_.size() - data) fail("ends early, in " + quote(name));
      if (type == 'S') fail(quote(name) + " is a sparse file, which is not supported");
      if (type == 'L' || type == 'x') {
        if (size > kMaxExtraBytes) fail("has a header of " + std::to_string(size) + " bytes");
        const std::string_view extra = bytes_.substr(data, size);
        if (type == 'L') long_name = text_of(extra);
        if (type == 'x') read_pax(extra, long_name, long_size);
      } else if (type == '0' || type == '\0' || type == '7') {
        members.push_back({std::move(name), data, size});
      }
      at = data + (has_data ? (size + kBlock - 1) / kBlock * kBlock : 0);
      if (at > bytes_.size()) fail("ends early, in its last member");
    }
  }

 private:
  [[noreturn]] void fail(const std::string& what) const { throw UserError(file_ + ": " + what); }

  static std::string name_of(std::string_view header) {
    std::string name(text_of(header.substr(0, 100)));
    const std::string_view prefix = text_of(header.substr(345, 155));
    // GNU's old form has other things there.
    if (header.substr(257, 6) != std::string_view("ustar\0", 6) || prefix.empty()) return name;
    return std::string(prefix) + "/" + name;
  }

  // Records "LENGTH KEY=VALUE\n", where LENGTH counts all of the record.
  void read_pax(std::string_view records, std::string& name, std::optional<uint64_t>& size) const {
    while (!records.empty()) {
      size_t length = 0;
      const auto [end, error] = std::from_chars(records.data(), records.data() + records.size(), length);
      const size_t digits = end - records.data();
      if (error != std::errc() || length > records.size() || length < digits + 3 || records[digits] != ' ' ||
          records[length - 1] != '\n') {
        fail("has a damaged pax header");
      }
      const std::string_view record = records.substr(digits + 1, length - digits - 2);
      records.remove_prefix(length);
      const size_t equals = std::min(record.find('='), record.size() - 1);
      const std::string_view key = record.substr(0, equals), value = record.substr(equals + 1);
      if (key == "path") name = value;
      if (key.starts_with("GNU.sparse.")) fail(quote(name) + " is a sparse file, which is not supported");
      if (key != "size") continue;
      uint64_t bytes = 0;
      const auto parsed = std::from_chars(value.data(), value.data() + value.size(), bytes);
      if (parsed.ec != std::errc() || parsed.ptr != value.data() + value.size())
        fail("has a damaged pax header");
      size = bytes;
    }
  }

  std::string_view bytes_;
  const std::string& file_;
};

}  // namespace

std::vector<TarMember> parse_tar(std::string_view bytes, const std::string& file) {
  return Reader(bytes, file).read();
}

}  // namespace seednorm::lab

#include "lab/language/data/reader.h"

#include <glob.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "lab/base/error.h"
#include "lab/base/utf8.h"
#include "lab/language/data/byte_source.h"

namespace seednorm::lab {
namespace {

namespace fs = std::filesystem;

// A document needs about seven times its size: the text, its ids, and room in which they grow. A small file
// that unpacks to more than this is a mistake, or hostile.
constexpr size_t kMaxRecordBytes = size_t{256} << 20;

// A name without the extension of compression.
std::string_view unpacked_name(std::string_view file) {
  for (const std::string_view end : {".gz", ".zst"}) {
    if (file.ends_with(end)) return file.substr(0, file.size() - end.size());
  }
  return file;
}

// Dolma's JSON Lines files end in .json.
bool is_json_lines(std::string_view file) {
  const std::string_view name = unpacked_name(file);
  return name.ends_with(".jsonl") || name.ends_with(".json");
}
bool is_text(std::string_view file) { return unpacked_name(file).ends_with(".txt"); }

// Extracts one string from a JSON object and skips the rest.
class FieldFinder : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit FieldFinder(const std::string& field) : field_(field) {}

  bool null() override { return other("null"); }
  bool boolean(bool /*value*/) override { return other("a boolean"); }
  bool number_integer(number_integer_t /*value*/) override { return other("a number"); }
  bool number_unsigned(number_unsigned_t /*value*/) override { return other("a number"); }
  bool number_float(number_float_t /*value*/, const string_t& /*text*/) override { return other("a number"); }
  bool binary(binary_t& /*value*/) override { return other("binary"); }
  bool string(string_t& value) override {
    if (is_field_) {
      text = std::move(value);
      found = true;
      instead.clear();
      is_field_ = false;
    }
    return depth_ > 0;
  }
  bool start_object(size_t /*size*/) override { return begin("an object"); }
  bool start_array(size_t /*size*/) override { return begin("an array"); }
  bool end_object() override { return end(); }
  bool end_array() override { return end(); }
  bool key(string_t& name) override {
    is_field_ = depth_ == 1 && name == field_;
    return true;
  }
  bool parse_error(size_t position, const std::string& /*token*/,
                   const nlohmann::json::exception& /*e*/) override {
    error_position = position;
    return false;
  }

  std::string text;
  bool found = false;
  std::string instead;  // what the field is, if it is no string
  size_t error_position = 0;
  bool is_object = false;

 private:
  bool other(const char* what) {
    if (is_field_) {
      instead = what;
      found = is_field_ = false;
    }
    return depth_ > 0;  // else the line is not an object
  }
  bool begin(const char* what) {
    if (depth_ == 0) {
      is_object = what == std::string_view("an object");
      if (!is_object) return false;
    } else {
      other(what);
    }
    ++depth_;
    return true;
  }
  bool end() {
    --depth_;
    return true;
  }

  const std::string& field_;
  int64_t depth_ = 0;
  bool is_field_ = false;
};

}  // namespace

std::vector<std::string> expand_inputs(const std::vector<std::string>& inputs) {
  std::vector<std::string> files;
  for (const std::string& input : inputs) {
    glob_t found{};
    // An existing file is used by its name, even if the name has pattern characters.
    if (fs::exists(input)) {
      files.push_back(input);
    } else if (::glob(input.c_str(), GLOB_TILDE, nullptr, &found) == 0) {
      files.insert(files.end(), found.gl_pathv, found.gl_pathv + found.gl_pathc);
    } else {
      ::globfree(&found);
      throw UserError(input + ": no such file, and no file matches it");
    }
    ::globfree(&found);
  }
  for (const std::string& file : files) {
    if (fs::is_directory(file))
      throw UserError(file + ": is a folder; name the files in it, such as *.jsonl.gz");
    if (!is_json_lines(file) && !is_text(file)) {
      throw UserError(file +
                      ": its name does not tell the format; expected .jsonl, .json or .txt, each also with "
                      ".gz or .zst");
    }
  }
  return files;
}

// The lines of one file, or all of it as one.
class RecordReader::Lines {
 public:
  explicit Lines(const std::string& file) : file_(file), source_(open_bytes(file)), whole_(is_text(file)) {}

  bool next(std::string& line, int64_t& number) {
    line.clear();
    while (true) {
      if (begin_ == end_ && !refill()) {
        if (whole_ ? done_ : line.empty()) return false;
        done_ = true;
        number = whole_ ? 0 : ++number_;
        return true;
      }
      const char* begin = buffer_.data() + begin_;
      const char* newline =
          whole_ ? nullptr : static_cast<const char*>(std::memchr(begin, '\n', end_ - begin_));
      const size_t count = newline == nullptr ? end_ - begin_ : static_cast<size_t>(newline - begin);
      if (line.size() + count > kMaxRecordBytes) {
        throw UserError(file_ + ":" + std::to_string(number_ + 1) +
                        ": a document of more than 256 MiB; cut it into several");
      }
      line.append(begin, count);
      begin_ += count;
      if (newline == nullptr) continue;
      ++begin_;
      number = ++number_;
      return true;
    }
  }
  uint64_t position() const { return source_->position(); }

 private:
  bool refill() {
    begin_ = 0;
    end_ = source_->read(buffer_.data(), buffer_.size());
    return end_ > 0;
  }

  std::string file_;
  std::unique_ptr<ByteSource> source_;
  bool whole_, done_ = false;
  std::vector<char> buffer_ = std::vector<char>(size_t{1} << 18);
  size_t begin_ = 0, end_ = 0;
  int64_t number_ = 0;
};

RecordReader::RecordReader(std::vector<std::string> files) : files_(std::move(files)) {
  for (const std::string& file : files_) {
    std::error_code error;
    const uintmax_t size = fs::file_size(file, error);
    if (!error) bytes_total_ += size;
  }
}
RecordReader::~RecordReader() = default;

uint64_t RecordReader::bytes_done() const {
  return bytes_before_ + (lines_ != nullptr ? lines_->position() : 0);
}

bool RecordReader::next(Record& record) {
  while (true) {
    if (lines_ == nullptr) {
      if (next_file_ == files_.size()) return false;
      lines_ = std::make_unique<Lines>(files_[next_file_++]);
    }
    while (lines_->next(record.bytes, record.line)) {
      const bool begins_file = record.line <= 1;
      if (begins_file && without_byte_order_mark(record.bytes).size() < record.bytes.size()) {
        record.bytes = without_byte_order_mark(record.bytes);
      }
      // Blank lines are ignored.
      const bool blank = record.bytes.find_first_not_of(" \t\r") == std::string::npos;
      if (record.line > 0 && blank) continue;
      record.file = next_file_ - 1;
      return true;
    }
    bytes_before_ += lines_->position();
    lines_.reset();
  }
}

std::string text_of_json_line(std::string_view line, const std::string& field, const std::string& place) {
  FieldFinder finder(field);
  const bool complete = nlohmann::json::sax_parse(line.begin(), line.end(), &finder);
  if (finder.error_position > 0) {
    throw UserError(place + ": is not valid JSON at column " + std::to_string(finder.error_position) +
                    (finder.error_position > line.size() ? " (the line ends early)" : "") +
                    "; expected one object a line");
  }
  if (!complete || !finder.is_object) throw UserError(place + ": is not a JSON object; expected one a line");
  if (!finder.instead.empty()) {
    throw UserError(place + ": field " + quote(field) + " is " + finder.instead + ", expected a string");
  }
  if (!finder.found) throw UserError(place + ": has no field " + quote(field) + "; --field names another");
  return std::move(finder.text);
}

std::string text_of(Record& record, const RecordReader& reader, const std::string& field) {
  if (record.line == 0) return std::move(record.bytes);
  const std::string place = reader.files()[record.file] + ":" + std::to_string(record.line);
  return text_of_json_line(record.bytes, field, place);
}

}  // namespace seednorm::lab

// Reads documents from JSON Lines files and plain text files, which may be compressed by gzip or zstd.
#ifndef SEEDNORM_LAB_LANGUAGE_DATA_READER_H_
#define SEEDNORM_LAB_LANGUAGE_DATA_READER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace seednorm::lab {

// Expands names of files and patterns with * ? [..]; the files of each are sorted. Throws UserError for a
// name or pattern that matches nothing, and for files whose name does not tell their format.
std::vector<std::string> expand_inputs(const std::vector<std::string>& inputs);

// One document as it is in the file: a line of JSON, or a whole plain text.
struct Record {
  std::string bytes;
  size_t file = 0;   // index among the reader's files
  int64_t line = 0;  // from 1; 0: the file is one document
};

// The records of several files, one after the other.
class RecordReader {
 public:
  explicit RecordReader(std::vector<std::string> files);
  ~RecordReader();

  // False at the end. Throws UserError "FILE: ..." or "FILE:LINE: ..." for data that cannot be read or
  // decompressed.
  bool next(Record& record);

  const std::vector<std::string>& files() const { return files_; }
  // The progress, in bytes of the files on the disk.
  uint64_t bytes_done() const;
  uint64_t bytes_total() const { return bytes_total_; }

 private:
  class Lines;

  std::vector<std::string> files_;
  std::unique_ptr<Lines> lines_;  // of the current file
  size_t next_file_ = 0;
  uint64_t bytes_before_ = 0, bytes_total_ = 0;
};

// The text of a line of JSON: the string `field` of the object. Throws UserError that begins with `place`.
std::string text_of_json_line(std::string_view line, const std::string& field, const std::string& place);

// Extracts the text from a record of `reader`. Throws UserError "FILE:LINE: ...".
std::string text_of(Record& record, const RecordReader& reader, const std::string& field);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_DATA_READER_H_

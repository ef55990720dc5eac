// Documents from files: JSON lines and plain text, as they are or compressed by gzip or zstd.
#ifndef SEEDNORM_LAB_LANGUAGE_DATA_READER_H_
#define SEEDNORM_LAB_LANGUAGE_DATA_READER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace seednorm::lab {

// Names of files, and patterns with * ? [..], as a sorted list of files for each of them. Throws UserError
// for what matches nothing and for files whose format their name does not tell.
std::vector<std::string> expand_inputs(const std::vector<std::string>& inputs);

// One document as the file has it: a line of JSON, or a whole plain text.
struct Record {
  std::string bytes;
  size_t file = 0;   // which of the reader's
  int64_t line = 0;  // from 1; 0: the file is one document
};

// The records of several files, one after the other.
class RecordReader {
 public:
  explicit RecordReader(std::vector<std::string> files);
  ~RecordReader();

  // False at the end. Throws UserError "FILE: ..." or "FILE:LINE: ..." for what cannot be read or unpacked.
  bool next(Record& record);

  const std::vector<std::string>& files() const { return files_; }
  // How far it is, in bytes of the files as they are on the disk.
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

// The text of a record of `reader`, taken out of it. Throws UserError "FILE:LINE: ...".
std::string text_of(Record& record, const RecordReader& reader, const std::string& field);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_DATA_READER_H_

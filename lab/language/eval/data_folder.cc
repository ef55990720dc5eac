#include "lab/language/eval/data_folder.h"

#include <algorithm>

#include "lab/base/error.h"
#include "lab/language/data/reader.h"

namespace seednorm::lab {
namespace {

namespace fs = std::filesystem;

void read_line(std::string_view text, const std::string& place, const LineReader& read) {
  const nlohmann::json json = parse_json(text, place);
  read(JsonField(json, place), place);
}

void each_line_of(std::string_view content, const std::string& file, const LineReader& read) {
  for (int64_t number = 1; !content.empty(); ++number) {
    const std::string_view line = content.substr(0, content.find('\n'));
    content.remove_prefix(std::min(line.size() + 1, content.size()));
    if (!line.empty()) read_line(line, file + ":" + std::to_string(number), read);
  }
}

}  // namespace

DataFolder::DataFolder(fs::path folder) : folder_(std::move(folder)) {
  if (!fs::is_directory(folder_)) throw UserError(folder_.string() + ": no such folder of data");
}

void DataFolder::each_line(const std::string& name, const LineReader& read) const {
  if (const auto found = files_.find(name + ".jsonl"); found != files_.end()) {
    return each_line_of(found->second, found->first, read);
  }
  for (const char* place : {"", "tasks/jsonl"}) {
    for (const char* end : {".jsonl", ".jsonl.gz", ".jsonl.zst"}) {
      const fs::path file = folder_ / place / (name + end);
      if (!fs::exists(file)) continue;
      RecordReader reader({file.string()});
      for (Record record; reader.next(record);) {
        read_line(record.bytes, file.string() + ":" + std::to_string(record.line), read);
      }
      return;
    }
  }
  throw UserError(folder_.string() + ": has no " + name +
                  ".jsonl, .jsonl.gz or .jsonl.zst, nor has its tasks/jsonl");
}

}  // namespace seednorm::lab

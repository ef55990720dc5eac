// Pictures as JPEG and PNG: files in folders, or members of tar archives.
#include <algorithm>
#include <cctype>
#include <charconv>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "lab/base/error.h"
#include "lab/base/file.h"
#include "lab/vision/data/set_parts.h"
#include "lab/vision/data/tar.h"

namespace seednorm::lab::sets {
namespace {
namespace fs = std::filesystem;

constexpr int kMaxClasses = 1 << 20;

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

// Pictures that are files of their own, or members of archives.
class EncodedSet : public ImageSet {
 public:
  EncodedSet(fs::path root, const ImageSetOptions& options) : root_(std::move(root)), options_(options) {}

  int64_t size() const override { return static_cast<int64_t>(entries_.size()); }
  int label(int64_t index) const override { return entries_.at(index).label; }
  std::string name(int64_t index) const override {
    const Entry& entry = entries_.at(index);
    return archives_.size() > 1 ? archive_names_[entry.archive] + "/" + entry.name : entry.name;
  }
  Image decode(int64_t index, const RegionOf& region) const override {
    const Entry& entry = entries_.at(index);
    if (archives_.empty()) {
      const fs::path file = root_ / entry.name;
      return decode_image(read(file), file.string(), region, options_.decode);
    }
    const std::string_view bytes = archives_[entry.archive].bytes().substr(entry.offset, entry.size);
    return decode_image(bytes, archive_places_[entry.archive] + ": " + quote(entry.name, 200), region,
                        options_.decode);
  }
  std::string fingerprint() const override {
    return hash_of(classes_, [this](Sha256& hash) {
      for (int64_t i = 0; i < size(); ++i) {
        const uint64_t bytes = archives_.empty() ? fs::file_size(root_ / entries_[i].name) : entries_[i].size;
        hash.update(name(i) + "\n" + std::to_string(entries_[i].label) + " " + std::to_string(bytes) + "\n");
      }
    });
  }

  void add_folders() {
    std::vector<fs::path> folders;
    for (const auto& item : fs::directory_iterator(root_)) {
      if (item.is_directory() && !is_hidden(item.path())) folders.push_back(item.path());
    }
    std::sort(folders.begin(), folders.end());
    for (const fs::path& folder : folders) {
      std::vector<std::string> files;
      for (const auto& item : fs::recursive_directory_iterator(folder)) {
        if (!item.is_regular_file() || is_hidden(item.path()) || !is_picture(item.path())) continue;
        files.push_back(item.path().lexically_relative(root_).string());
      }
      std::sort(files.begin(), files.end());
      for (std::string& file : files)
        entries_.push_back({std::move(file), static_cast<int>(classes_.size()), 0, 0, 0});
      classes_.push_back(folder.filename());
    }
    finish(root_.string());
  }

  void add_archives(const std::vector<fs::path>& files) {
    for (const fs::path& file : files) {
      archives_.emplace_back(file);
      archive_names_.push_back(file.filename());
      archive_places_.push_back(file.string());
    }
    bool are_numbered = false;
    std::vector<std::string> folders;  // of each entry; empty if it has a number
    for (size_t i = 0; i < archives_.size(); ++i) add_members(static_cast<int>(i), folders, are_numbered);
    if (are_numbered) {
      int max_label = -1;
      for (const Entry& entry : entries_) max_label = std::max(max_label, entry.label);
      classes_ = numbered_classes(files[0].parent_path(), max_label);
    } else {
      const std::set<std::string> names(folders.begin(), folders.end());
      classes_.assign(names.begin(), names.end());
    }
    for (size_t i = 0; i < entries_.size(); ++i) {
      Entry& entry = entries_[i];
      const std::string place = archive_places_[entry.archive] + ": " + quote(entry.name, 200);
      if (are_numbered && entry.label < 0)
        throw UserError(place + " has no .cls beside it, which others have");
      if (!are_numbered) {
        entry.label = static_cast<int>(std::lower_bound(classes_.begin(), classes_.end(), folders[i]) -
                                       classes_.begin());
      }
      if (entry.label < static_cast<int>(classes_.size())) continue;
      throw UserError(place + " has label " + std::to_string(entry.label) + ", beyond the " +
                      std::to_string(classes_.size()) + " classes of classes.txt");
    }
    finish(files.size() == 1 ? files[0].string() : root_.string());
  }

 private:
  struct Entry {
    std::string name;
    int label, archive;
    uint64_t offset, size;
  };

  static bool is_hidden(const fs::path& path) { return path.filename().string().starts_with('.'); }

  static std::string read(const fs::path& file) {
    try {
      return read_file(file, kMaxFileBytes);
    } catch (const UserError& error) {
      throw DamagedImage(error.what());
    }
  }

  // WebDataset's: all up to the first dot of the file's name.
  static std::string key_of(const std::string& name) {
    const size_t slash = name.rfind('/'), begin = slash == std::string::npos ? 0 : slash + 1;
    return name.substr(0, name.find('.', begin));
  }

  static int number_in(std::string_view text, const std::string& place) {
    int value = -1;
    const size_t begin = text.find_first_not_of(" \t\r\n"), end = text.find_last_not_of(" \t\r\n");
    if (begin != std::string_view::npos) {
      const char* last = text.data() + end + 1;
      const auto [stop, error] = std::from_chars(text.data() + begin, last, value);
      if (error != std::errc() || stop != last) value = -1;
    }
    if (value < 0 || value >= kMaxClasses) {
      throw UserError(place + " holds no number of a class: " + quote(text.substr(0, 40)));
    }
    return value;
  }

  void add_members(int archive, std::vector<std::string>& folders, bool& are_numbered) {
    const std::string& file = archive_places_[archive];
    const std::string_view bytes = archives_[archive].bytes();
    std::unordered_map<std::string, int> labels;
    std::unordered_set<std::string> seen;
    const std::vector<TarMember> members = parse_tar(bytes, file);
    for (const TarMember& member : members) {
      if (fs::path(member.name).extension() != ".cls") continue;
      labels[key_of(member.name)] =
          number_in(bytes.substr(member.offset, member.size), file + ": " + quote(member.name, 200));
    }
    are_numbered = are_numbered || !labels.empty();
    for (const TarMember& member : members) {
      if (!is_picture(member.name) || is_hidden(member.name)) continue;
      const std::string key = key_of(member.name), folder = fs::path(member.name).parent_path().filename();
      const auto label = labels.find(key);
      if (labels.empty() && (folder.empty() || folder == ".")) {
        throw UserError(file + ": " + quote(member.name, 200) +
                        " is in no folder of a class and has no .cls beside it");
      }
      const bool is_new = seen.insert(labels.empty() ? member.name : key).second;
      if (!is_new) throw UserError(file + ": there is more than one picture " + quote(key, 200));
      entries_.push_back(
          {member.name, label == labels.end() ? -1 : label->second, archive, member.offset, member.size});
      folders.push_back(folder);
    }
  }

  void finish(const std::string& place) {
    if (entries_.empty())
      throw UserError(place + ": has no picture; expected .jpg, .jpeg or .png in folders by class");
    std::vector<int> labels;
    for (const Entry& entry : entries_) labels.push_back(entry.label);
    check_classes(classes_, labels, place, options_);
  }

  fs::path root_;
  ImageSetOptions options_;
  std::vector<MappedFile> archives_;
  std::vector<std::string> archive_names_, archive_places_;
  std::vector<Entry> entries_;
};

}  // namespace

bool is_picture(const std::string& file) {
  const std::string end = lower(fs::path(file).extension().string());
  return end == ".jpg" || end == ".jpeg" || end == ".png";
}

std::unique_ptr<ImageSet> open_class_folders(const fs::path& folder, const ImageSetOptions& options) {
  auto set = std::make_unique<EncodedSet>(folder, options);
  set->add_folders();
  return set;
}

std::unique_ptr<ImageSet> open_archives(const std::vector<fs::path>& files, const ImageSetOptions& options) {
  auto set = std::make_unique<EncodedSet>(files.at(0).parent_path(), options);
  set->add_archives(files);
  return set;
}

}  // namespace seednorm::lab::sets

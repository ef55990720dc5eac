#include "lab/vision/eval/picture_files.h"

#include <algorithm>
#include <cstring>

#include "lab/base/file.h"
#include "lab/vision/data/set_parts.h"

namespace seednorm::lab {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSamplesFile = "samples.npz";  // of seednorm sample

class ArraySet : public ImageSet {
 public:
  ArraySet(NpzImages images, std::string name) : images_(std::move(images)), name_(std::move(name)) {
    classes_ = {"pictures"};
  }

  int64_t size() const override { return images_.num; }
  int label(int64_t) const override { return 0; }
  std::string name(int64_t index) const override { return name_ + "[" + std::to_string(index) + "]"; }
  Image decode(int64_t index, const RegionOf& region) const override {
    Image whole(static_cast<int>(images_.width), static_cast<int>(images_.height));
    std::memcpy(whole.bytes().data(), images_.pixels.data() + index * whole.bytes().size(),
                whole.bytes().size());
    return copy_of({whole, decoders::region_of(whole.width(), whole.height(), region)});
  }
  std::string fingerprint() const override {
    return sets::hash_of(classes_, [this](Sha256& hash) {
      hash.update({reinterpret_cast<const char*>(images_.pixels.data()), images_.pixels.size()});
    });
  }

 private:
  NpzImages images_;
  std::string name_;
};

// The picture files of a folder itself, by name in order.
class FileSet : public ImageSet {
 public:
  explicit FileSet(fs::path folder) : folder_(std::move(folder)) {
    for (const auto& item : fs::directory_iterator(folder_)) {
      const std::string name = item.path().filename().string();
      if (item.is_regular_file() && !name.starts_with(".") && sets::is_picture(name)) files_.push_back(name);
    }
    std::sort(files_.begin(), files_.end());
    classes_ = {"pictures"};
  }

  int64_t size() const override { return static_cast<int64_t>(files_.size()); }
  int label(int64_t) const override { return 0; }
  std::string name(int64_t index) const override { return files_.at(index); }
  Image decode(int64_t index, const RegionOf& region) const override {
    const fs::path file = folder_ / files_.at(index);
    return decode_image(read_file(file, sets::kMaxFileBytes), file.string(), region);
  }
  std::string fingerprint() const override {
    return sets::hash_of(classes_, [this](Sha256& hash) {
      for (const std::string& file : files_) {
        hash.update(file + "\n" + std::to_string(fs::file_size(folder_ / file)) + "\n");
      }
    });
  }

 private:
  fs::path folder_;
  std::vector<std::string> files_;
};

std::unique_ptr<ImageSet> open_npz(const fs::path& file) {
  const MappedFile mapped(file);
  return pictures_of(parse_npz(mapped.bytes(), file.string()), file.string());
}

}  // namespace

std::unique_ptr<ImageSet> pictures_of(NpzImages images, std::string name) {
  return std::make_unique<ArraySet>(std::move(images), std::move(name));
}

std::unique_ptr<ImageSet> open_pictures(const fs::path& path) {
  if (path.extension() == ".npz") return open_npz(path);
  if (fs::is_directory(path)) {
    if (fs::exists(path / kSamplesFile)) return open_npz(path / kSamplesFile);
    auto files = std::make_unique<FileSet>(path);
    if (files->size() > 0) return files;
  }
  return open_image_set(path, {.is_test = true, .allow_empty_classes = true});
}

}  // namespace seednorm::lab

#include "lab/vision/data/image_set.h"

#include <algorithm>

#include "lab/base/error.h"
#include "lab/base/file.h"
#include "lab/vision/data/raw_images.h"
#include "lab/vision/data/set_parts.h"
#include "lab/vision/data/tar.h"

namespace seednorm::lab {
namespace fs = std::filesystem;
namespace sets {

void check_classes(const std::vector<std::string>& classes, const std::vector<int>& labels,
                   const std::string& place, const ImageSetOptions& options) {
  std::vector<bool> is_used(classes.size());
  for (const int label : labels) is_used[label] = true;
  for (size_t i = 0; i < classes.size() && !options.allow_empty_classes; ++i) {
    if (!is_used[i]) throw UserError(place + ": class " + quote(classes[i]) + " has no picture");
  }
}

std::vector<std::string> numbered_classes(const fs::path& folder, int max_label) {
  std::vector<std::string> names;
  if (fs::exists(folder / "classes.txt")) return lines_of(read_file(folder / "classes.txt", 1 << 24));
  for (int i = 0; i <= max_label; ++i) names.push_back(std::to_string(i));
  return names;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    std::string line = text.substr(at, end - at);
    if (line.ends_with('\r')) line.pop_back();
    if (!line.empty()) lines.push_back(std::move(line));
    at = end + 1;
  }
  return lines;
}

std::string hash_of(const std::vector<std::string>& classes, const std::function<void(Sha256&)>& add_images) {
  Sha256 hash;
  const auto add = [&](const std::string& text) { hash.update(std::to_string(text.size()) + ":" + text); };
  for (const std::string& name : classes) add(name);
  add_images(hash);
  return hash.hex();
}

}  // namespace sets

namespace {

std::unique_ptr<ImageSet> open_folder(const fs::path& path, const ImageSetOptions& options) {
  const auto in = [](const fs::path& folder) {
    return [folder](const std::string& name) -> std::optional<std::string> {
      if (!fs::exists(folder / name)) return std::nullopt;
      return read_file(folder / name, sets::kMaxFileBytes);
    };
  };
  for (const char* folder : {"", "cifar-10-batches-bin", "cifar-100-binary"}) {
    const fs::path place = *folder == '\0' ? path : path / folder;
    if (auto set = sets::open_cifar(in(place), place.string(), options)) return set;
  }
  if (auto set = sets::open_idx(path, options)) return set;
  std::vector<fs::path> archives;
  for (const auto& item : fs::directory_iterator(path)) {
    if (item.is_regular_file() && item.path().extension() == ".tar") archives.push_back(item.path());
  }
  std::sort(archives.begin(), archives.end());
  return archives.empty() ? sets::open_class_folders(path, options) : sets::open_archives(archives, options);
}

}  // namespace

std::unique_ptr<ImageSet> open_image_set(const fs::path& path, const ImageSetOptions& options) {
  if (!fs::exists(path)) throw UserError(path.string() + ": there is no such file or folder of pictures");
  if (fs::is_directory(path)) return open_folder(path, options);
  if (path.extension() == ".tar") return sets::open_archives({path}, options);
  if (path.extension() == ".gz") {
    const std::string bytes = unpack_gzip(MappedFile(path).bytes(), sets::kMaxFileBytes, path.string());
    const std::vector<TarMember> members = parse_tar(bytes, path.string());
    const auto find = [&](const std::string& name) -> std::optional<std::string> {
      for (const TarMember& member : members) {
        if (fs::path(member.name).filename() == name) return bytes.substr(member.offset, member.size);
      }
      return std::nullopt;
    };
    if (auto set = sets::open_cifar(find, path.string(), options)) return set;
    throw UserError(path.string() + ": is not CIFAR's archive; unpack others by gunzip");
  }
  throw UserError(path.string() +
                  ": is no set of pictures; expected a folder, a .tar file or CIFAR's .tar.gz");
}

std::string all_damaged(const std::vector<std::string>& damaged) {
  const std::string all = "every picture that is measured is damaged";
  return damaged.empty() ? all : damaged.front() + "; " + all;
}

void check_same_classes(const ImageSet& a, const ImageSet& b) {
  if (a.classes().size() != b.classes().size()) {
    throw UserError("the sets of pictures have " + std::to_string(a.classes().size()) + " and " +
                    std::to_string(b.classes().size()) + " classes; expected the same");
  }
  for (size_t i = 0; i < a.classes().size(); ++i) {
    if (a.classes()[i] == b.classes()[i]) continue;
    throw UserError("class " + std::to_string(i) + " of the sets of pictures is " + quote(a.classes()[i]) +
                    " and " + quote(b.classes()[i]) + "; expected the same");
  }
}

}  // namespace seednorm::lab

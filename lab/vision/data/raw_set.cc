// Pictures that are plain pixels, in memory: CIFAR's binary version, and IDX.
#include <algorithm>

#include "lab/base/error.h"
#include "lab/base/file.h"
#include "lab/vision/data/raw_images.h"
#include "lab/vision/data/set_parts.h"

namespace seednorm::lab::sets {
namespace {
namespace fs = std::filesystem;

// Pictures in memory.
class RawSet : public ImageSet {
 public:
  RawSet(RawImages images, std::vector<std::string> classes, const std::string& place,
         const ImageSetOptions& options)
      : images_(std::move(images)) {
    classes_ = std::move(classes);
    for (size_t i = 0; i < images_.labels.size(); ++i) {
      if (images_.labels[i] < static_cast<int>(classes_.size())) continue;
      throw UserError(place + ": picture " + std::to_string(i) + " has label " +
                      std::to_string(images_.labels[i]) + ", beyond the " + std::to_string(classes_.size()) +
                      " classes of classes.txt");
    }
    check_classes(classes_, images_.labels, place, options);
  }

  int64_t size() const override { return static_cast<int64_t>(images_.labels.size()); }
  int label(int64_t index) const override { return images_.labels.at(index); }
  std::string name(int64_t index) const override { return std::to_string(index); }
  Image decode(int64_t index, const RegionOf& region) const override {
    const Rect part = decoders::region_of(images_.width, images_.height, region);
    const size_t plane = size_t(images_.width) * images_.height;
    const auto* from =
        reinterpret_cast<const uint8_t*>(images_.pixels.data()) + index * images_.image_bytes();
    Image out(part.width, part.height);
    for (int c = 0; c < 3; ++c) {
      const uint8_t* values = from + (images_.channels == 3 ? c * plane : 0);
      for (int y = 0; y < part.height; ++y) {
        const uint8_t* row = values + size_t(y + part.y) * images_.width + part.x;
        for (int x = 0; x < part.width; ++x) out.row(y)[x * 3 + c] = row[x];
      }
    }
    return out;
  }
  std::string fingerprint() const override {
    return hash_of(classes_, [this](Sha256& hash) {
      for (const int label : images_.labels) hash.update(std::to_string(label) + "\n");
      hash.update(images_.pixels);
    });
  }

 private:
  RawImages images_;
};

struct Cifar {
  const char* const* train;
  int num_train;
  const char *test, *names;
  int label_bytes, num_classes;
};
constexpr const char* kCifar10Train[] = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin",
                                         "data_batch_4.bin", "data_batch_5.bin"};
constexpr const char* kCifar100Train[] = {"train.bin"};
constexpr Cifar kCifars[] = {{kCifar10Train, 5, "test_batch.bin", "batches.meta.txt", 1, 10},
                             {kCifar100Train, 1, "test.bin", "fine_label_names.txt", 2, 100}};

}  // namespace

std::unique_ptr<ImageSet> open_cifar(const Find& find, const std::string& place,
                                     const ImageSetOptions& options) {
  for (const Cifar& cifar : kCifars) {
    if (!find(cifar.train[0]) && !find(cifar.test)) continue;
    const std::vector<std::string> files =
        options.is_test ? std::vector<std::string>{cifar.test}
                        : std::vector<std::string>(cifar.train, cifar.train + cifar.num_train);
    RawImages images;
    for (const std::string& file : files) {
      const auto bytes = find(file);
      if (!bytes) throw UserError((fs::path(place) / file).string() + ": is missing");
      append_cifar(*bytes, cifar.label_bytes, cifar.num_classes, (fs::path(place) / file).string(), images);
    }
    std::vector<std::string> names = lines_of(find(cifar.names).value_or(""));
    if (names.empty()) {
      for (int i = 0; i < cifar.num_classes; ++i) names.push_back(std::to_string(i));
    }
    if (static_cast<int>(names.size()) != cifar.num_classes) {
      throw UserError((fs::path(place) / cifar.names).string() + ": has " + std::to_string(names.size()) +
                      " names, expected " + std::to_string(cifar.num_classes));
    }
    return std::make_unique<RawSet>(std::move(images), std::move(names), place, options);
  }
  return nullptr;
}

std::unique_ptr<ImageSet> open_idx(const fs::path& folder, const ImageSetOptions& options) {
  const std::string part = options.is_test ? "t10k" : "train";
  const auto find = [&](const std::string& what, const std::string& dims) -> fs::path {
    for (const char* between : {"-", "."}) {
      for (const char* end : {"", ".gz"}) {
        const fs::path file = folder / (part + "-" + what + between + dims + "-ubyte" + end);
        if (fs::exists(file)) return file;
      }
    }
    return {};
  };
  const fs::path pictures = find("images", "idx3"), labels = find("labels", "idx1");
  if (pictures.empty() && labels.empty()) return nullptr;
  if (pictures.empty() || labels.empty()) {
    throw UserError((pictures.empty() ? labels : pictures).string() + ": the file of " +
                    (pictures.empty() ? "pictures" : "labels") + " beside it is missing");
  }
  const auto read = [](const fs::path& file) {
    return unpack_gzip(MappedFile(file).bytes(), kMaxFileBytes, file.string());
  };
  RawImages images = parse_idx(read(pictures), pictures.string(), read(labels), labels.string());
  const int max_label = *std::max_element(images.labels.begin(), images.labels.end());
  return std::make_unique<RawSet>(std::move(images), numbered_classes(folder, max_label), labels.string(),
                                  options);
}

}  // namespace seednorm::lab::sets

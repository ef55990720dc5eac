// A set of pictures with a class for each, whatever files it is in.
#ifndef SEEDNORM_LAB_VISION_DATA_IMAGE_SET_H_
#define SEEDNORM_LAB_VISION_DATA_IMAGE_SET_H_

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "lab/vision/data/decode.h"
#include "lab/vision/data/image.h"

namespace seednorm::lab {

// Reading is safe from any number of threads.
class ImageSet {
 public:
  virtual ~ImageSet() = default;

  virtual int64_t size() const = 0;
  virtual int label(int64_t index) const = 0;         // 0 .. classes - 1
  virtual std::string name(int64_t index) const = 0;  // its file, below the set's place
  // The part of the picture that `region` asks for; gray ones have three equal channels. Throws DamagedImage,
  // which names the file.
  virtual Image decode(int64_t index, const RegionOf& region = whole_image) const = 0;
  // A hash of what the set consists of: classes, names, labels and sizes in bytes of encoded pictures, all
  // bytes of raw ones.
  virtual std::string fingerprint() const = 0;

  const std::vector<std::string>& classes() const { return classes_; }

 protected:
  std::vector<std::string> classes_;
};

struct ImageSetOptions {
  bool is_test = false;              // of sets whose files have two parts: the test part
  bool allow_empty_classes = false;  // for a sample of a larger set
  DecodeOptions decode = {};
};

// Opens, by what is there:
//   a folder of folders          one a class, by name in order, with .jpg, .jpeg, .png below them
//   a .tar file, or a folder of them  pictures in folders by class, or each with its number in a .cls beside
//   it
//                                as WebDataset has it; names of numbered classes stand in a classes.txt
//                                beside
//   CIFAR-10 or -100             the folder of the binary version (or one above), or its .tar.gz
//   MNIST and its kin            a folder of IDX files, packed by gzip or not; classes.txt as above
// Throws UserError, one line that names the file, if there is nothing such, a class has no picture, a label
// is beyond the classes, or an archive is damaged. Pictures are looked at only when they are decoded.
std::unique_ptr<ImageSet> open_image_set(const std::filesystem::path& path,
                                         const ImageSetOptions& options = {});

// What is said where none of the measured pictures can be read; `damaged` says it of each.
std::string all_damaged(const std::vector<std::string>& damaged);

// Throws UserError that names the first difference unless both have the same classes in the same order.
void check_same_classes(const ImageSet& a, const ImageSet& b);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_DATA_IMAGE_SET_H_

// What the kinds of sets of pictures share.
#ifndef SEEDNORM_LAB_VISION_DATA_SET_PARTS_H_
#define SEEDNORM_LAB_VISION_DATA_SET_PARTS_H_

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lab/base/sha256.h"
#include "lab/vision/data/image_set.h"

namespace seednorm::lab::sets {

// Of one file that is read as a whole.
inline constexpr size_t kMaxFileBytes = size_t{1} << 31;

// Throws UserError that names the first class without a picture, unless that is allowed.
void check_classes(const std::vector<std::string>& classes, const std::vector<int>& labels,
                   const std::string& place, const ImageSetOptions& options);

// Names of classes that files give as numbers: those of `folder`/classes.txt, or else the numbers.
std::vector<std::string> numbered_classes(const std::filesystem::path& folder, int max_label);

// Whether a file is named as a picture: .jpg, .jpeg, .png.
bool is_picture(const std::string& file);

// The lines of a text that are not empty.
std::vector<std::string> lines_of(const std::string& text);

std::string hash_of(const std::vector<std::string>& classes, const std::function<void(Sha256&)>& add_images);

// The kinds of sets. open_cifar and open_idx give null where there is no such thing.
std::unique_ptr<ImageSet> open_class_folders(const std::filesystem::path& folder,
                                             const ImageSetOptions& options);
std::unique_ptr<ImageSet> open_archives(const std::vector<std::filesystem::path>& files,
                                        const ImageSetOptions& options);
// `find` gives a file's bytes by its name, or nothing.
using Find = std::function<std::optional<std::string>(const std::string& name)>;
std::unique_ptr<ImageSet> open_cifar(const Find& find, const std::string& place,
                                     const ImageSetOptions& options);
std::unique_ptr<ImageSet> open_idx(const std::filesystem::path& folder, const ImageSetOptions& options);

}  // namespace seednorm::lab::sets

#endif  // SEEDNORM_LAB_VISION_DATA_SET_PARTS_H_

// Sets of pictures without classes, which are compared with others.
#ifndef SEEDNORM_LAB_VISION_EVAL_PICTURE_FILES_H_
#define SEEDNORM_LAB_VISION_EVAL_PICTURE_FILES_H_

#include <filesystem>
#include <memory>

#include "lab/vision/data/image_set.h"
#include "lab/vision/eval/npz.h"

namespace seednorm::lab {

// Pictures of one class. The name of picture i is `name`[i].
std::unique_ptr<ImageSet> pictures_of(NpzImages images, std::string name);

// Opens an .npz file, a folder that `seednorm sample` made, a folder with picture files in it, or what
// open_image_set opens. Errors (UserError): there are no pictures, or see parse_npz and open_image_set.
std::unique_ptr<ImageSet> open_pictures(const std::filesystem::path& path);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_EVAL_PICTURE_FILES_H_

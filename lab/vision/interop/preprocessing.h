// How a model wants its pictures when it is evaluated, as files say it. Without libtorch.
#ifndef SEEDNORM_LAB_VISION_INTEROP_PREPROCESSING_H_
#define SEEDNORM_LAB_VISION_INTEROP_PREPROCESSING_H_

#include "lab/base/json_field.h"
#include "lab/vision/data/transforms.h"

namespace seednorm::lab {

struct ImagePreprocessing {
  Normalization normalization = kImageNetNormalization;
  double crop_part = 0.875;  // of the short side
};

// Reads the fields of a mean and a standard deviation for each channel, where they are not null. Errors
// (UserError): not three numbers, or deviations that cannot be divided by.
void read_normalization(const JsonField& mean, const JsonField& std, Normalization& out);
// The part of a picture's short side that is cropped. Errors (UserError): not from 0.01 to 1.
double crop_part_in(const JsonField& field);
// The same from the short side of which `size` pixels are cropped, so that floor(size / part) is that side
// again.
double crop_part_of(const JsonField& short_side, int64_t size);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_INTEROP_PREPROCESSING_H_

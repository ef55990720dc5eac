// Some pictures of a set.
#ifndef SEEDNORM_LAB_VISION_DATA_IMAGE_SUBSET_H_
#define SEEDNORM_LAB_VISION_DATA_IMAGE_SUBSET_H_

#include <memory>
#include <utility>

#include "lab/vision/data/image_set.h"

namespace seednorm::lab {

// `count` of them, evenly spaced: sets are often in the order of their classes.
class ImageSubset : public ImageSet {
 public:
  // 1 <= count <= whole->size().
  ImageSubset(std::unique_ptr<ImageSet> whole, int64_t count) : whole_(std::move(whole)), count_(count) {
    classes_ = whole_->classes();
  }

  int64_t size() const override { return count_; }
  int label(int64_t index) const override { return whole_->label(place(index)); }
  std::string name(int64_t index) const override { return whole_->name(place(index)); }
  Image decode(int64_t index, const RegionOf& region) const override {
    return whole_->decode(place(index), region);
  }
  std::string fingerprint() const override { return whole_->fingerprint() + "/" + std::to_string(count_); }

 private:
  // Of at most 2^30 pictures: the product fits.
  int64_t place(int64_t index) const { return index * whole_->size() / count_; }

  std::unique_ptr<ImageSet> whole_;
  int64_t count_;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_DATA_IMAGE_SUBSET_H_

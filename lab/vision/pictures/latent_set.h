// Latents of pictures in files: what a variational autoencoder's encoder made of each picture.
#ifndef SEEDNORM_LAB_VISION_PICTURES_LATENT_SET_H_
#define SEEDNORM_LAB_VISION_PICTURES_LATENT_SET_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "lab/tensors/safetensors.h"

namespace seednorm::lab {

// Reading is safe from any number of threads.
class LatentSet {
 public:
  // A folder with a folder for each class, by name in order. Below it, by name in order,
  //   .npz files, each of one picture: `moments` [2 channels, size, size], mean before logarithm of variance,
  //                     and `moments_flip`, those of the mirrored picture, if there are any;
  //   .safetensors files of any number of pictures: the same with a first dimension for them,
  // in float16 or float32. Errors (UserError): there is nothing such, a class has no latents, or a
  // .safetensors file has other shapes.
  LatentSet(const std::filesystem::path& folder, int64_t channels, int64_t size);

  int64_t size() const { return static_cast<int64_t>(entries_.size()); }
  int64_t label(int64_t index) const { return entries_.at(index).label; }
  const std::vector<std::string>& classes() const { return classes_; }
  // A hash of classes, names of files and their sizes.
  std::string fingerprint() const;

  // [2 channels, size, size] float32. Errors (UserError): the file is damaged or has other shapes; no moments
  // of the mirrored picture.
  at::Tensor moments(int64_t index, bool mirrored) const;

 private:
  struct Entry {
    int64_t label, file, row;
  };
  void add_file(const std::filesystem::path& path, int64_t label);
  [[noreturn]] void fail(int64_t file, const std::string& what) const;
  // As at first, of one picture. Errors (UserError).
  at::Tensor checked(const at::Tensor& moments, int64_t file) const;

  std::filesystem::path folder_;
  int64_t channels_, side_;
  std::vector<std::string> classes_;
  std::vector<std::string> files_;  // below the folder
  std::vector<TensorMap> mapped_;   // of each file; empty for .npz
  std::vector<Entry> entries_;
};

// A sample [size, size, channels] of the latents with these moments: the mean plus the standard deviation
// times `noise` [channels, size, size], all times `scale`. As in diffusers, the logarithm of the variance is
// kept within -30 and 20.
at::Tensor sampled_latent(const at::Tensor& moments, const at::Tensor& noise, double scale);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_PICTURES_LATENT_SET_H_

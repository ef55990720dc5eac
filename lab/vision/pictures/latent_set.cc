#include "lab/vision/pictures/latent_set.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <algorithm>

#include "lab/base/error.h"
#include "lab/base/file.h"
#include "lab/base/sha256.h"
#include "lab/vision/eval/npz.h"

namespace seednorm::lab {
namespace {

namespace fs = std::filesystem;
using at::Tensor;

constexpr const char* kMoments = "moments";
constexpr const char* kMirrored = "moments_flip";

bool is_hidden(const fs::path& path) { return path.filename().string().starts_with("."); }

std::vector<fs::path> sorted(const fs::path& folder, bool folders) {
  std::vector<fs::path> out;
  for (const auto& item : fs::directory_iterator(folder)) {
    const std::string kind = item.path().extension().string();
    const bool wanted =
        folders ? item.is_directory() : item.is_regular_file() && (kind == ".npz" || kind == ".safetensors");
    if (wanted && !is_hidden(item.path())) out.push_back(item.path());
  }
  std::sort(out.begin(), out.end());
  return out;
}

Tensor read_npz(const fs::path& file, const char* name) {
  const MappedFile mapped(file);
  const NpzNumbers found = parse_npz_numbers(mapped.bytes(), name, file.string());
  return at::tensor(found.values, at::kFloat).view(found.shape);
}

}  // namespace

LatentSet::LatentSet(const fs::path& folder, int64_t channels, int64_t size)
    : folder_(folder), channels_(channels), side_(size) {
  if (!fs::is_directory(folder)) throw UserError(folder.string() + ": no such folder");
  for (const fs::path& path : sorted(folder, /*folders=*/true)) {
    const auto label = static_cast<int64_t>(classes_.size());
    classes_.push_back(path.filename().string());
    const size_t before = entries_.size();
    for (const fs::path& file : sorted(path, /*folders=*/false)) add_file(file, label);
    if (entries_.size() == before) {
      throw UserError(path.string() + ": has no latents; expected .npz or .safetensors files");
    }
  }
  if (classes_.empty()) {
    throw UserError(folder.string() +
                    ": has no latents; expected a folder of .npz or .safetensors files for "
                    "each class");
  }
}

void LatentSet::add_file(const fs::path& path, int64_t label) {
  const auto file = static_cast<int64_t>(files_.size());
  files_.push_back(path.lexically_relative(folder_).string());
  mapped_.emplace_back();
  if (path.extension() == ".npz") {
    entries_.push_back({label, file, 0});
    return;
  }
  mapped_.back() = read_safetensors(path);
  const auto found = mapped_.back().find(kMoments);
  if (found == mapped_.back().end()) fail(file, "has no tensor moments");
  if (found->second.dim() != 4) fail(file, "moments has the shape " + shape_text(found->second.sizes()));
  const auto mirrored = mapped_.back().find(kMirrored);
  if (mirrored != mapped_.back().end() && mirrored->second.sizes() != found->second.sizes()) {
    fail(file, "moments_flip has another shape than moments");
  }
  for (int64_t row = 0; row < found->second.size(0); ++row) entries_.push_back({label, file, row});
  if (found->second.size(0) > 0) checked(found->second[0], file);
}

void LatentSet::fail(int64_t file, const std::string& what) const {
  throw UserError((folder_ / files_[file]).string() + ": " + what + "; expected moments of " +
                  shape_text({2 * channels_, side_, side_}) + " numbers for each picture");
}

Tensor LatentSet::checked(const Tensor& moments, int64_t file) const {
  if (moments.sizes() != at::IntArrayRef({2 * channels_, side_, side_})) {
    fail(file, "moments has the shape " + shape_text(moments.sizes()) + " for a picture");
  }
  if (!at::isFloatingType(moments.scalar_type())) fail(file, "moments holds no floating-point numbers");
  return moments;
}

std::string LatentSet::fingerprint() const {
  Sha256 hash;
  for (const std::string& name : classes_) hash.update(name + "\n");
  for (const std::string& file : files_) {
    hash.update(file + "\n" + std::to_string(fs::file_size(folder_ / file)) + "\n");
  }
  return hash.hex();
}

Tensor LatentSet::moments(int64_t index, bool mirrored) const {
  const Entry& entry = entries_.at(index);
  const char* name = mirrored ? kMirrored : kMoments;
  const TensorMap& mapped = mapped_[entry.file];
  Tensor out;
  if (mapped.empty()) {
    out = read_npz(folder_ / files_[entry.file], name);
  } else {
    const auto found = mapped.find(name);
    if (found == mapped.end()) {
      fail(entry.file, "has no tensor moments_flip, which flip=0 does without");
    }
    out = found->second[entry.row];
  }
  const Tensor numbers = checked(out, entry.file).to(at::kFloat);
  if (!numbers.isfinite().all().item<bool>()) fail(entry.file, "moments has numbers that are not finite");
  return numbers;
}

Tensor sampled_latent(const Tensor& moments, const Tensor& noise, double scale) {
  const int64_t channels = moments.size(0) / 2;
  const Tensor mean = moments.narrow(0, 0, channels),
               deviation = (moments.narrow(0, channels, channels).clamp(-30, 20) / 2).exp();
  return ((mean + deviation * noise) * scale).permute({1, 2, 0});
}

}  // namespace seednorm::lab

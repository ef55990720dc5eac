#include "lab/vision/eval/inception.h"

#include <ATen/Functions.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <string>

#include "lab/base/error.h"
#include "lab/tensors/safetensors.h"

namespace seednorm::lab {
namespace {

namespace fs = std::filesystem;
using at::Tensor;

constexpr int64_t kSide = 299, kFeatures = 2048, kOutputs = 1008;
constexpr double kEps = 1e-3;  // of its batch norms

// TensorFlow 1's bilinear scaling of rows of 3 channels to kSide, without a shift by half a pixel.
void scale_tf1(const Image& image, std::span<float> out) {
  const auto place = [](int64_t i, int length) {
    const float source = static_cast<float>(i) * (static_cast<float>(length) / static_cast<float>(kSide));
    const int low = static_cast<int>(source);
    return std::tuple(low, std::min(low + 1, length - 1), source - static_cast<float>(low));
  };
  for (int64_t y = 0; y < kSide; ++y) {
    const auto [top, bottom, down] = place(y, image.height());
    for (int64_t x = 0; x < kSide; ++x) {
      const auto [left, right, along] = place(x, image.width());
      for (int c = 0; c < 3; ++c) {
        const auto between = [&, along = along, left = left, right = right](const uint8_t* row) {
          const float a = row[3 * left + c], b = row[3 * right + c];
          return a + (b - a) * along;
        };
        const float a = between(image.row(top)), b = between(image.row(bottom));
        out[(y * kSide + x) * 3 + c] = (a + (b - a) * down - 128) / 128;
      }
    }
  }
}

class Inception : public FeatureNet {
 public:
  explicit Inception(const fs::path& file) : file_(file.string()), weights_(read_safetensors(file)) {
    if (weight("fc.weight").sizes() != at::IntArrayRef({kOutputs, kFeatures})) {
      throw UserError(file_ + ": fc.weight has the shape " + shape_text(weight("fc.weight").sizes()) +
                      "; expected [1008, 2048], that of the network of 2015, which torchvision's is not");
    }
    try {
      features(at::zeros({1, kSide, kSide, 3}, at::kFloat));
    } catch (const c10::Error& e) {
      throw UserError(file_ + ": its tensors do not have the shapes of the Inception network: " +
                      std::string(e.what_without_backtrace()).substr(0, 200));
    }
  }

  std::string metric() const override { return "fid"; }
  std::string input() const override {
    return "299 pixels, TensorFlow 1's bilinear scaling, (x - 128) / 128";
  }
  int64_t size() const override { return kSide; }
  int64_t num_features() const override { return kFeatures; }
  void prepare(const ImageSet& set, int64_t index, std::span<float> out) const override {
    scale_tf1(set.decode(index), out);
  }

  Tensor features(const Tensor& pixels) override {
    const at::NoGradGuard no_grad;
    Tensor x = pixels.permute({0, 3, 1, 2});
    x = valid("Conv2d_2a_3x3", valid("Conv2d_1a_3x3", x, 2));
    x = halved(same("Conv2d_2b_3x3", x));
    x = halved(valid("Conv2d_4a_3x3", valid("Conv2d_3b_1x1", x)));
    for (const char* name : {"Mixed_5b", "Mixed_5c", "Mixed_5d"}) x = block_a(name, x);
    x = at::cat({valid("Mixed_6a.branch3x3", x, 2),
                 valid("Mixed_6a.branch3x3dbl_3", chain("Mixed_6a.branch3x3dbl", 2, x), 2), halved(x)},
                1);
    for (const char* name : {"Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"}) x = block_c(name, x);
    x = at::cat({valid("Mixed_7a.branch3x3_2", chain("Mixed_7a.branch3x3", 1, x), 2),
                 valid("Mixed_7a.branch7x7x3_4", chain("Mixed_7a.branch7x7x3", 3, x), 2), halved(x)},
                1);
    x = block_e("Mixed_7b", x, averaged(x));
    x = block_e("Mixed_7c", x, at::max_pool2d(x, 3, 1, 1));
    return x.mean(at::IntArrayRef{2, 3});
  }

 private:
  const Tensor& weight(const std::string& name) const {
    const auto found = weights_.find(name);
    if (found == weights_.end()) {
      throw UserError(file_ + ": has no tensor " + name +
                      "; expected pytorch-fid's Inception weights of 2015");
    }
    return found->second;
  }

  Tensor conv(const std::string& name, const Tensor& x, int64_t stride, bool padded) const {
    const Tensor w = weight(name + ".conv.weight").to(at::kFloat);
    const auto of_norm = [&](const char* part) { return weight(name + ".bn." + part).to(at::kFloat); };
    const int64_t rows = padded ? w.size(2) / 2 : 0, columns = padded ? w.size(3) / 2 : 0;
    const Tensor y = at::conv2d(x, w, {}, {stride, stride}, {rows, columns});
    return at::batch_norm(y, of_norm("weight"), of_norm("bias"), of_norm("running_mean"),
                          of_norm("running_var"), /*training=*/false, /*momentum=*/0, kEps,
                          /*cudnn_enabled=*/false)
        .relu_();
  }
  // With a border of zeros that keeps the sides, and without one.
  Tensor same(const std::string& name, const Tensor& x) const { return conv(name, x, 1, true); }
  Tensor valid(const std::string& name, const Tensor& x, int64_t stride = 1) const {
    return conv(name, x, stride, false);
  }
  // NAME_1, NAME_2, ... up to `last`.
  Tensor chain(const std::string& name, int last, Tensor x) const {
    for (int i = 1; i <= last; ++i) x = same(name + "_" + std::to_string(i), x);
    return x;
  }
  static Tensor halved(const Tensor& x) { return at::max_pool2d(x, 3, 2); }
  static Tensor averaged(const Tensor& x) {
    return at::avg_pool2d(x, 3, 1, 1, /*ceil_mode=*/false, /*count_include_pad=*/false);
  }

  // Four branches of 35 x 35 positions.
  Tensor block_a(const std::string& name, const Tensor& x) const {
    return at::cat({same(name + ".branch1x1", x), chain(name + ".branch5x5", 2, x),
                    chain(name + ".branch3x3dbl", 3, x), same(name + ".branch_pool", averaged(x))},
                   1);
  }
  // Of 17 x 17, by kernels of 1 x 7 and 7 x 1.
  Tensor block_c(const std::string& name, const Tensor& x) const {
    return at::cat({same(name + ".branch1x1", x), chain(name + ".branch7x7", 3, x),
                    chain(name + ".branch7x7dbl", 5, x), same(name + ".branch_pool", averaged(x))},
                   1);
  }
  // Of 8 x 8; two of the branches end in kernels of 1 x 3 and 3 x 1 side by side.
  Tensor block_e(const std::string& name, const Tensor& x, const Tensor& pool) const {
    const auto ends = [&](const std::string& branch, const Tensor& y) {
      return at::cat({same(branch + "a", y), same(branch + "b", y)}, 1);
    };
    return at::cat(
        {same(name + ".branch1x1", x), ends(name + ".branch3x3_2", chain(name + ".branch3x3", 1, x)),
         ends(name + ".branch3x3dbl_3", chain(name + ".branch3x3dbl", 2, x)),
         same(name + ".branch_pool", pool)},
        1);
  }

  std::string file_;
  TensorMap weights_;
};

}  // namespace

std::unique_ptr<FeatureNet> load_inception(const fs::path& file) { return std::make_unique<Inception>(file); }

}  // namespace seednorm::lab

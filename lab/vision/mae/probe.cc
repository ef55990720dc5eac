#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <algorithm>

#include "lab/nn/device.h"
#include "lab/vision/mae/workload.h"
#include "lab/vision/pictures/picture_grid.h"

namespace seednorm::lab {
namespace {

using at::Tensor;

constexpr uint64_t kMaskSeed = 0;  // the same masks for every run
constexpr float kGray = 0.5F;      // of masked patches, in the middle of black and white

class MaeProbe : public Probe {
 public:
  explicit MaeProbe(const MaeWorkload& workload) : workload_(workload) {
    if (workload.config().sample_count > 0) {
      shown_ = workload.data()->first_measured(workload.config().sample_count).pixels;
    }
  }

  int64_t every() const override { return workload_.train().eval_every; }

  std::vector<MetricInfo> metrics() const override {
    return {{.name = "val_loss", .title = "Validation loss", .unit = workload_.loss_unit()}};
  }

  Measurement run(const Group& /*group*/) override {
    const at::NoGradGuard no_grad;
    Measurement out;
    double sum = 0;
    int64_t images = 0;
    const auto measure = [&](int64_t first, const PictureRows& p) {
      const int64_t rows = p.pixels.size(0);
      const Tensor pixels = p.pixels.to(model_device(workload_.model()));
      const Masking masking = masking_of(first, rows);
      const Tensor loss =
          mae_loss(workload_.model().forward(pixels, masking), targets_of(pixels), masking.mask);
      sum += loss.item<double>() * static_cast<double>(rows);
      images += rows;
    };
    out.left_out = workload_.data()->for_measured(workload_.train().micro_rows(), measure);
    out.values = {{"val_loss", sum / static_cast<double>(images)}};
    out.line = {{"valid", {{"images", images}, {"loss", sum / static_cast<double>(images)}}}};
    if (shown_.defined() && shown_.size(0) > 0) out.line["samples"].push_back(reconstructions());
    return out;
  }

 private:
  Masking masking_of(int64_t first, int64_t rows) const {
    const MaeConfig& c = workload_.config().model;
    const Tensor noise = mask_noise(kMaskSeed, 0, first, rows, c.num_patches());
    return mask_by(noise.to(model_device(workload_.model())), c.num_kept());
  }
  Tensor targets_of(const Tensor& pixels) const {
    const MaeConfig& c = workload_.config().model;
    return mae_targets(pixels, c.patch_size, c.normalize_pixels);
  }

  // Three rows: the pictures, what the encoder sees of them, and that with the patches that the model makes.
  nlohmann::ordered_json reconstructions() const {
    const MaeConfig& c = workload_.config().model;
    const Normalization normalization = named_normalization(workload_.config().normalization);
    const Masking masking = masking_of(0, shown_.size(0));
    Tensor made = workload_.model().forward(shown_.to(model_device(workload_.model())), masking).cpu();
    const Tensor patches = mae_targets(shown_, c.patch_size, /*normalized=*/false);
    if (c.normalize_pixels) {  // mean and deviation of a patch, which the model does not tell, are its own
      const auto [variance, mean] = at::var_mean(patches, {-1}, /*correction=*/1, /*keepdim=*/true);
      made = made * (variance + 1e-6).sqrt() + mean;
    }
    const Tensor mask = masking.mask.unsqueeze(-1).cpu();
    const Tensor gray = (kGray - at::tensor(at::ArrayRef<float>(normalization.mean))) /
                        at::tensor(at::ArrayRef<float>(normalization.std));
    const Tensor hidden = gray.repeat({c.patch_size * c.patch_size});
    std::vector<Image> images;
    for (const Tensor& rows :
         {patches, patches * (1 - mask) + hidden * mask, patches * (1 - mask) + made * mask}) {
      for (Image& image : images_of(bytes_of(unpatched(rows, c.patch_size), normalization))) {
        images.push_back(std::move(image));
      }
    }
    return sample_of("Pictures, what the model sees of them, and what it makes of that", images,
                     static_cast<int>(shown_.size(0)));
  }

  const MaeWorkload& workload_;
  Tensor shown_;  // [N, size, size, 3]
};

}  // namespace

std::unique_ptr<Probe> mae_probe(const MaeWorkload& workload) { return std::make_unique<MaeProbe>(workload); }

}  // namespace seednorm::lab

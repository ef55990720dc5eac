// seednorm sample
#include <ATen/Functions.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <optional>

#include "lab/base/error.h"
#include "lab/base/file.h"
#include "lab/base/interrupt.h"
#include "lab/base/progress.h"
#include "lab/base/split_list.h"
#include "lab/cli/verb.h"
#include "lab/tensors/safetensors.h"
#include "lab/train/threads.h"
#include "lab/vision/data/encode_png.h"
#include "lab/vision/diffuse/sampler.h"
#include "lab/vision/eval/npz.h"
#include "lab/vision/interop/dit_dir.h"
#include "lab/vision/pictures/picture_grid.h"

namespace seednorm::lab {
namespace {

namespace fs = std::filesystem;

constexpr const char* kAverageFile = "average.safetensors";
constexpr int64_t kMaxCount = 1'000'000, kMaxShown = 256;

struct Arguments {
  std::string model, out, labels, weights = "average", json;
  int64_t count = 16, threads = 0;
  double latent_scale = 0.18215;
  SampleOptions options;
  std::optional<int64_t> cfg_channels;
};

// The labels of the option in turn, or drawn ones.
std::vector<int64_t> labels_of(const Arguments& a, int64_t num_classes) {
  if (a.labels.empty()) return random_labels(a.count, num_classes, a.options.seed);
  std::vector<int64_t> given;
  for (const std::string& word : split_list(a.labels)) {
    int64_t label = -1;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), label);
    if (error != std::errc() || end != word.data() + word.size() || label < 0 || label >= num_classes) {
      throw UserError("--labels: expected numbers from 0 to " + std::to_string(num_classes - 1) +
                      " separated by commas, got " + quote(word));
    }
    given.push_back(label);
  }
  std::vector<int64_t> out;
  for (int64_t i = 0; i < a.count; ++i) out.push_back(given[i % given.size()]);
  return out;
}

std::shared_ptr<Dit> load_model(const Arguments& a) {
  std::shared_ptr<Dit> model = load_dit(a.model);
  const fs::path average = fs::path(a.model) / kAverageFile;
  if (a.weights == "average" && fs::exists(average)) load_dit_weights(*model, average);
  return model;
}

void write_pictures(const Arguments& a, const at::Tensor& bytes) {
  NewFolder folder(a.out);
  const at::Tensor rows = bytes.contiguous();
  const uint8_t* data = rows.const_data_ptr<uint8_t>();
  write_npz(folder.path() / "samples.npz", {.num = rows.size(0),
                                            .height = rows.size(1),
                                            .width = rows.size(2),
                                            .pixels = {data, data + rows.numel()}});
  const int64_t shown = std::min(rows.size(0), kMaxShown);
  const auto columns = static_cast<int>(std::ceil(std::sqrt(static_cast<double>(shown))));
  replace_file(folder.path() / "samples.png",
               encode_png(make_grid(images_of(rows.narrow(0, 0, shown)), columns)));
  folder.commit();
}

// As an autoencoder decodes them: [count, channels, size, size], divided by the factor that training had.
void write_latents(const Arguments& a, const at::Tensor& latents) {
  NewFolder folder(a.out);
  write_safetensors(folder.path() / "latents.safetensors",
                    {source_of("latents", (latents.permute({0, 3, 1, 2}) / a.latent_scale).contiguous())});
  folder.commit();
}

void run_sample(const Arguments& a) {
  if (fs::exists(a.out)) throw UserError(a.out + ": exists already; expected the name of a new folder");
  set_training_threads(a.threads);
  const DitFile file = read_dit_file(a.model);
  const std::shared_ptr<Dit> model = load_model(a);
  const std::vector<int64_t> labels = labels_of(a, file.config.num_classes);
  SampleOptions options = a.options;
  options.diffusion_steps = file.diffusion_steps;
  options.cfg_channels = a.cfg_channels.value_or(std::min(options.cfg_channels, file.config.channels));
  catch_interrupts();
  at::Tensor pixels;
  {
    Progress progress;
    try {
      pixels = sample_pictures(*model, labels, options, [&](int64_t done) {
        if (progress.is_due()) {
          progress.show(std::to_string(done) + " of " + std::to_string(a.count) + " pictures");
        }
      });
    } catch (const std::invalid_argument& e) {
      throw UserError(e.what());
    }
  }
  if (file.config.channels == 3) {
    write_pictures(a, sampled_bytes(pixels));
    std::printf("%s: %lld pictures, in samples.npz and side by side in samples.png\n", a.out.c_str(),
                static_cast<long long>(a.count));
  } else {
    write_latents(a, pixels);
    std::printf("%s: %lld latents, in latents.safetensors for their autoencoder to decode\n", a.out.c_str(),
                static_cast<long long>(a.count));
  }
  write_json(a.json, {{"count", a.count},
                      {"labels", labels},
                      {"steps", options.steps},
                      {"cfg_scale", options.cfg_scale},
                      {"cfg_channels", options.cfg_channels},
                      {"seed", options.seed}});
}

}  // namespace

void add_sample(CLI::App& app) {
  const auto arguments = std::make_shared<Arguments>();
  Arguments& a = *arguments;
  app.add_option("--model", a.model, "A DiT's folder: a checkpoint, or one of diffusers")
      ->required()
      ->type_name("DIR");
  app.add_option("--out", a.out,
                 "A new folder for samples.npz and samples.png; of latents latents.safetensors")
      ->required()
      ->type_name("DIR");
  app.add_option("--count", a.count, "How many pictures")
      ->check(CLI::Range(int64_t{1}, kMaxCount))
      ->capture_default_str()
      ->type_name("N");
  app.add_option("--labels", a.labels, "Their classes, one after the other; default: drawn evenly")
      ->type_name("LIST");
  app.add_option("--cfg", a.options.cfg_scale, "Scale of classifier-free guidance; 1: none")
      ->check(CLI::Range(0.0, 1e6))
      ->capture_default_str()
      ->type_name("S");
  app.add_option("--cfg-channels", a.cfg_channels,
                 "Channels that are guided; 0: all; default: the first three")
      ->check(CLI::Range(0, 4096))
      ->type_name("N");
  app.add_option("--latent-scale", a.latent_scale, "Of a model of latents: what they are divided by")
      ->check(CLI::Range(1e-6, 1e6))
      ->capture_default_str()
      ->type_name("S");
  app.add_option("--steps", a.options.steps, "Steps from noise to picture")
      ->check(CLI::Range(int64_t{2}, kMaxCount))
      ->capture_default_str()
      ->type_name("N");
  app.add_option("--seed", a.options.seed, "Of all noise and of drawn classes")
      ->capture_default_str()
      ->type_name("S");
  app.add_option("--weights", a.weights, "Of a checkpoint that has both: average or raw")
      ->check(CLI::IsMember({"average", "raw"}))
      ->capture_default_str();
  app.add_option("--batch", a.options.rows, "Pictures at once")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str()
      ->type_name("N");
  app.add_option("--threads", a.threads, "Threads; 0: libtorch's choice")
      ->check(CLI::Range(0, 4096))
      ->capture_default_str()
      ->type_name("N");
  add_json_option(app, a.json);
  app.callback([arguments] { run_sample(*arguments); });
}

}  // namespace seednorm::lab

// What timm_parity_test.py and bench/images drive: reads a command a line and answers with arrays.
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <iostream>
#include <sstream>
#include <string>

#include "lab/base/file.h"
#include "lab/vision/data/affine.h"
#include "lab/vision/data/augment.h"
#include "lab/vision/data/color_ops.h"
#include "lab/vision/data/decode.h"
#include "lab/vision/data/image_set.h"
#include "lab/vision/data/mix.h"
#include "lab/vision/data/rand_augment.h"
#include "lab/vision/data/transforms.h"

namespace seednorm::lab {
namespace {

// "TYPE ROWS COLUMNS\n" and the bytes.
void answer(const char* type, int rows, int columns, const void* data, size_t bytes) {
  std::printf("%s %d %d\n", type, rows, columns);
  std::fwrite(data, 1, bytes, stdout);
  std::fflush(stdout);
}
void answer(const Image& image) {
  answer("u8", image.height(), image.width(), image.bytes().data(), image.bytes().size());
}
void answer(const std::vector<double>& numbers) {
  answer("f64", 1, static_cast<int>(numbers.size()), numbers.data(), numbers.size() * sizeof(double));
}
void answer(const std::vector<float>& pixels, int height, int width) {
  answer("f32", height, width, pixels.data(), pixels.size() * sizeof(float));
}

Filter filter_named(const std::string& name) {
  if (name == "box") return Filter::kBox;
  return name == "bilinear" ? Filter::kBilinear : Filter::kBicubic;
}

std::vector<double> uniforms(Draws draws, int num) {
  std::vector<double> out(num);
  for (double& u : out) u = draws.uniform();
  return out;
}

double processor_ms() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return 1e3 * static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_nsec);
}

// The image that the commands work on.
class Session {
 public:
  void run(const std::string& line) {
    std::istringstream in(line);
    std::string command, text;
    in >> command;
    if (command == "load") {
      std::getline(in >> std::ws, text);
      image_ = decode_image(MappedFile(text).bytes(), text);
      answer(image_);
    } else if (command == "part") {  // of the file
      Rect part;
      in >> part.x >> part.y >> part.width >> part.height;
      std::getline(in >> std::ws, text);
      answer(decode_image(MappedFile(text).bytes(), text, [&](int, int) { return part; }));
    } else if (command == "resize") {
      Rect part;
      int width = 0, height = 0;
      in >> part.x >> part.y >> part.width >> part.height >> width >> height >> text;
      answer(resize(ImageView(image_, part), width, height, filter_named(text)));
    } else if (command == "center") {
      int short_side = 0, size = 0;
      in >> short_side >> size >> text;
      image_ = center_crop(image_, short_side, size, filter_named(text));
      answer(image_);
    } else if (command == "adm") {
      int size = 0;
      in >> size;
      answer(center_crop_adm(image_, size));
    } else if (command == "op") {
      int op = 0, negative = 0;
      double magnitude = 0;
      in >> op >> magnitude >> negative;
      Image image = image_;
      apply_op(image, op, magnitude, negative != 0, Color{124, 116, 104});
      answer(image);
    } else if (command == "normalize") {
      in >> text;
      std::vector<float> out(image_.bytes().size());
      Normalizer(text == "imagenet" ? kImageNetNormalization : kSymmetricNormalization).apply(image_, out);
      answer(out, image_.height(), image_.width());
    } else if (command == "bench") {
      in >> text;
      std::string path;
      std::getline(in >> std::ws, path);
      bench(text, path);
    } else {
      run_drawn(command, in);
    }
  }

 private:
  // Milliseconds of each picture of a set, once through a recipe.
  void bench(const std::string& recipe, const std::string& path) {
    if (!set_) set_ = open_image_set(path);
    AugmentOptions options = AugmentOptions::supervised(224);
    if (recipe == "mae") options = AugmentOptions::mae(224);
    if (recipe == "evaluation") options = AugmentOptions::evaluation(224);
    if (recipe == "cifar") {
      options = {};
      options.size = 32;
      options.crop = Crop::kPadded;
      options.padding = 4;
    }
    const Augment augment(options);
    std::vector<float> out(size_t{3} * options.size * options.size);
    std::vector<double> times;
    for (int64_t i = 0; i < set_->size(); ++i) {
      const double start = processor_ms();
      augment.numbers(*set_, i, {step_, 0, static_cast<uint64_t>(i)}, out);
      times.push_back(processor_ms() - start);
    }
    ++step_;
    answer(times);
  }

  void run_mix(const std::string& command, std::istringstream& in, Draws draws) {
    const int width = image_.width(), height = image_.height();
    const Draws draws_before = draws;
    const Mix mix = draw_mix({}, width, height, draws);
    if (command == "mix") {  // with the picture upside down
      std::vector<float> a(image_.bytes().size()), b(a.size());
      Normalizer(kImageNetNormalization).apply(image_, a);
      for (int y = 0; y < height; ++y) {
        std::copy_n(a.begin() + y * width * 3, width * 3, b.begin() + (height - 1 - y) * width * 3);
      }
      mix_pair(mix, width, a, b);
      answer(a, height, width);
    } else if (command == "mix_targets") {
      int label = 0, other = 0, classes = 0;
      in >> label >> other >> classes;
      std::vector<float> out(classes);
      mix_targets(mix.lambda, 0.1, label, other, out);
      answer(std::vector<double>(out.begin(), out.end()));
    } else {  // what draw_mix draws: whether it cuts, lambda, and the middle
      Draws again = draws_before;
      again.uniform();
      const bool is_cut = again.uniform() < 0.5;
      const double alpha = is_cut ? 1.0 : 0.8, lambda = again.beta(alpha, alpha);
      const double y = again.below(height), x = again.below(width);
      answer({is_cut ? 1.0 : 0.0, lambda, y, x});
    }
  }

  // What takes random numbers, which `uniforms` gives away to timm's code.
  void run_drawn(const std::string& command, std::istringstream& in) {
    uint64_t seed = 0, step = 0, row = 0;
    in >> seed >> step >> row;
    if (command.starts_with("mix")) return run_mix(command, in, Draws(seed, DrawsFor::kMix, step, row));
    Draws draws(seed, DrawsFor::kAugment, step, row);
    if (command == "uniforms") {
      answer(uniforms(draws, 64));
    } else if (command == "crop") {
      double low = 0;
      in >> low;
      const Rect part = random_crop(image_.width(), image_.height(), {low, 1}, {3.0 / 4, 4.0 / 3}, draws);
      answer({double(part.y), double(part.x), double(part.height), double(part.width)});
    } else if (command == "rand_augment") {
      std::string text;
      in >> text;
      Image image = image_;
      rand_augment(image, RandAugmentOptions::parse(text), draws);
      answer(image);
    } else if (command == "erase") {
      std::vector<float> pixels(image_.bytes().size(), 0);
      random_erase(pixels, image_.width(), image_.height(), {.probability = 1}, draws);
      answer(pixels, image_.height(), image_.width());
    } else {
      throw UserError("no command " + quote(command));
    }
  }

  Image image_;
  std::unique_ptr<ImageSet> set_;
  uint64_t step_ = 0;
};

}  // namespace
}  // namespace seednorm::lab

int main() {
  seednorm::lab::Session session;
  for (std::string line; std::getline(std::cin, line);) {
    try {
      session.run(line);
    } catch (const std::exception& error) {
      std::printf("error %s\n", error.what());
      std::fflush(stdout);
    }
  }
}

// Pictures as evaluators of diffusion models exchange them: an .npz file whose array `arr_0` is uint8 [n,
// height, width, 3].
#ifndef SEEDNORM_LAB_VISION_EVAL_NPZ_H_
#define SEEDNORM_LAB_VISION_EVAL_NPZ_H_

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace seednorm::lab {

struct NpzImages {
  int64_t num = 0, height = 0, width = 0;
  std::vector<uint8_t> pixels;  // [num, height, width, 3]
};

// Reads what numpy.savez and savez_compressed write. `file` stands in errors. Throws UserError, which
// says what is there instead, if `arr_0` is missing or is not uint8 in that shape and order, and if the
// file is damaged.
NpzImages parse_npz(std::string_view bytes, const std::string& file);

// An array of floating-point numbers.
struct NpzNumbers {
  std::vector<int64_t> shape;
  std::vector<float> values;  // in C's order
};
// The array `name` of float16 or float32 numbers. Throws UserError as parse_npz.
NpzNumbers parse_npz_numbers(std::string_view bytes, const std::string& name, const std::string& file);

// Replaces the file: not compressed, up to 2^31 pictures of less than 4 GB in all. Throws
// std::invalid_argument if the pixels are not as many as the shape says.
void write_npz(const std::filesystem::path& file, const NpzImages& images);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_EVAL_NPZ_H_

#include "bench/norm_case.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <new>
#include <random>

namespace seednorm::bench {
namespace {

constexpr int64_t kPeriod = 1000003;  // a prime: rows of any width see other numbers
constexpr int64_t kRowsPerSample = 256;

const std::vector<float>& normal_numbers() {
  static const std::vector<float> numbers = [] {
    std::mt19937_64 bits(2510'22777);
    std::normal_distribution<float> normal;
    std::vector<float> values(kPeriod);
    for (float& value : values) value = normal(bits);
    return values;
  }();
  return numbers;
}

// To nearest even; the numbers here are finite and ordinary.
uint16_t bfloat16_bits(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  return static_cast<uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

// Towards zero, values below the smallest normal to zero: enough for a benchmark's input.
uint16_t float16_bits(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = bits >> 16 & 0x8000;
  const int32_t exponent = static_cast<int32_t>(bits >> 23 & 0xFF) - 127 + 15;
  if (exponent <= 0) return static_cast<uint16_t>(sign);
  return static_cast<uint16_t>(sign | static_cast<uint32_t>(exponent) << 10 | (bits >> 13 & 0x3FF));
}

void store(float value, DType dtype, void* out, int64_t i) {
  switch (dtype) {
    case DType::kFloat32:
      static_cast<float*>(out)[i] = value;
      return;
    case DType::kBFloat16:
      static_cast<uint16_t*>(out)[i] = bfloat16_bits(value);
      return;
    case DType::kFloat16:
      static_cast<uint16_t*>(out)[i] = float16_bits(value);
      return;
    case DType::kFloat64:
      static_cast<double*>(out)[i] = value;
      return;
  }
}

// Parameters as after some training: where beta is zero or gamma one, shortcuts could hide.
float random_param(Param param, double initial, float normal) {
  if (param == Param::kBeta) return 0.02F * normal;
  return static_cast<float>(initial) + 0.1F * normal;
}

Options options_of(const NormSpec& spec) {
  Options options;
  options.num_heads = spec.heads;
  return options;
}

}  // namespace

NormCase::NormCase(const NormSpec& spec, const NormShape& shape, bool save_stats)
    : norm_(spec.norm, shape.cols, options_of(spec)), shape_(shape) {
  const DType sums = shape.dtype == DType::kFloat64 ? DType::kFloat64 : DType::kFloat32;
  for (int p = 0; p < kNumParams; ++p) {
    if (norm_.kind(static_cast<Param>(p)) != ParamKind::kAbsent) make_param(static_cast<Param>(p));
  }
  stats_ = new_block(static_cast<size_t>(shape.rows * norm_.num_stats()) * size_of(sums));
  forward_.rows = shape.rows;
  forward_.stats = save_stats ? stats_ : nullptr;
  backward_.rows = shape.rows;
  backward_.params = forward_.params;
  backward_.stats = stats_;
  backward_.scratch = new_block(norm_.scratch_bytes(shape.rows, shape.dtype));
  forward_.rows_per_sample = backward_.rows_per_sample =
      norm_.kind(Param::kGammaC) == ParamKind::kPerSample ? kRowsPerSample : 0;
}

// From the ordinary heap, where a program's parameters lie, at the alignment that tensors have.
void* NormCase::new_block(size_t bytes) {
  constexpr size_t kAlignment = 64;
  const size_t rounded = (bytes / kAlignment + 1) * kAlignment;
  void* const block = std::aligned_alloc(kAlignment, rounded);
  if (block == nullptr) throw std::bad_alloc();
  blocks_.emplace_back(block);
  std::memset(block, 0, rounded);
  return block;
}

void NormCase::make_param(Param param) {
  int64_t count = norm_.kind(param) == ParamKind::kScalar ? 1 : shape_.cols;
  if (norm_.kind(param) == ParamKind::kPerSample)
    count *= (shape_.rows + kRowsPerSample - 1) / kRowsPerSample;
  const size_t bytes = static_cast<size_t>(count) * size_of(shape_.param_dtype);
  void* const values = new_block(bytes);
  for (int64_t i = 0; i < count; ++i) {
    const float normal = normal_numbers()[(i + 7919 * (static_cast<int>(param) + 1)) % kPeriod];
    store(random_param(param, norm_.initial_value(param), normal), shape_.param_dtype, values, i);
  }
  forward_.params[param] = ConstView{values, shape_.param_dtype};
  backward_.grads[param] = View{new_block(bytes), shape_.param_dtype};
}

void NormCase::forward(const Tensors& tensors, const Executor& executor) {
  forward_.x = ConstView{tensors.x, shape_.dtype};
  forward_.y = View{tensors.out, shape_.dtype};
  norm_.forward(forward_, executor);
}

void NormCase::prepare_backward(const Tensors& tensors, const Executor& executor) {
  void* const asked = forward_.stats;
  forward_.stats = stats_;
  forward(tensors, executor);
  forward_.stats = asked;
}

void NormCase::backward(const Tensors& tensors, const Executor& executor) {
  backward_.x = ConstView{tensors.x, shape_.dtype};
  backward_.dy = ConstView{tensors.dy, shape_.dtype};
  backward_.dx = View{tensors.out, shape_.dtype};
  norm_.backward(backward_, executor);
}

void fill_normal(void* out, int64_t count, DType dtype, int64_t start, const Executor& executor) {
  struct Job {
    char* out;
    int64_t count, start, part;
    size_t element;
    std::vector<char> period;  // the sequence in `dtype`
  } job{static_cast<char*>(out),
        count,
        start,
        (count + executor.num_threads - 1) / executor.num_threads,
        size_of(dtype),
        std::vector<char>(kPeriod * size_of(dtype))};
  for (int64_t i = 0; i < kPeriod; ++i) store(normal_numbers()[i], dtype, job.period.data(), i);
  executor.run(
      executor.self, executor.num_threads,
      [](void* arg, int64_t i) {
        const Job& j = *static_cast<const Job*>(arg);
        const int64_t end = std::min(j.count, (i + 1) * j.part);
        for (int64_t at = i * j.part; at < end;) {
          const int64_t from = (at + j.start) % kPeriod;
          const int64_t n = std::min(end - at, kPeriod - from);
          std::memcpy(j.out + at * j.element, j.period.data() + from * j.element, n * j.element);
          at += n;
        }
      },
      &job);
}

}  // namespace seednorm::bench

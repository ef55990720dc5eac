// Which library takes a matrix product: MKL and oneDNN, float32 and bfloat16 differ by factors, and by other
// ones on each kind of processor.
#ifndef SEEDNORM_LAB_NN_CPU_PRODUCT_CHOICE_H_
#define SEEDNORM_LAB_NN_CPU_PRODUCT_CHOICE_H_

#include <array>
#include <cstddef>
#include <string>

namespace seednorm::lab {

// For float32. kMkl is what libtorch itself takes: MKL on x86, the system's BLAS elsewhere.
enum class Library { kMkl, kOneDnn };

// The products of a layer y = x W^T: y itself, dx = dy W, and dW = dy^T x, whose sums run over all rows.
enum class ProductKind { kForward, kInputGradient, kWeightGradient };
inline constexpr size_t kNumProductKinds = 3;

// Bits depend on the choice, so it is part of a run.
struct ProductChoice {
  std::array<Library, kNumProductKinds> float32 = {};
  // bfloat16 matrices are multiplied as float32 and not by oneDNN as bfloat16.
  bool widen_bfloat16 = false;

  Library library(ProductKind kind) const { return float32[static_cast<size_t>(kind)]; }
  bool operator==(const ProductChoice&) const = default;

  // One line that parse() takes: "forward=mkl,input_gradient=mkl,weight_gradient=onednn,bfloat16=widened".
  std::string text() const;
  // Some or all of these, with commas between; `float32=` stands for all three kinds. What is not named is as
  // in default_product_choice(). Errors (std::invalid_argument): anything else.
  static ProductChoice parse(const std::string& text);
};

// By what the processor has, without a measurement: float32 by libtorch's own library; bfloat16 is widened
// where there are no matrix units for it (Intel's AMX).
ProductChoice default_product_choice();

// What is fastest on this machine, from about 0.1 seconds of measurement on one thread. Another choice than
// the default must be faster by a tenth, so that noise decides nothing.
ProductChoice measure_product_choice();

// The choice of all products from here on; default_product_choice() until it is set. Not to be set while
// other threads multiply.
const ProductChoice& product_choice();
void set_product_choice(const ProductChoice& choice);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_NN_CPU_PRODUCT_CHOICE_H_

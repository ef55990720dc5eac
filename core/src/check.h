// Checks of the caller's arguments. Each throws std::invalid_argument with the message
// "[layer] argument: expected ..., got ...".
#ifndef SEEDNORM_CORE_SRC_CHECK_H_
#define SEEDNORM_CORE_SRC_CHECK_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "core/kernel/kernel_args.h"
#include "seednorm/norm.h"

namespace seednorm {

// The maximum width of a row, and the maximum number of bytes from a tensor's first row to its last. They are
// more than any machine has, and small enough that no product of sizes overflows.
constexpr int64_t kMaxDim = int64_t{1} << 40;
constexpr int64_t kMaxBytes = int64_t{1} << 56;

[[noreturn]] void fail(std::string_view layer, std::string_view argument, const std::string& expected,
                       const std::string& got);

// Checks the options and width of a norm to be constructed.
void check_options(const NormInfo& info, int64_t dim, const Options& options);

// Check the arguments of a call on `norm`.
void check_forward(const Norm& norm, const ForwardArgs& args);
// `scratch_bytes` is what the parameter gradients need.
void check_backward(const Norm& norm, const BackwardArgs& args, size_t scratch_bytes);

}  // namespace seednorm

#endif  // SEEDNORM_CORE_SRC_CHECK_H_

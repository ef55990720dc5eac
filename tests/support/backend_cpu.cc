#include "seednorm/simd.h"
#include "tests/support/backend.h"

namespace seednorm::test {

const Backend kBackend = {
    .targets = simd_targets,
    .set_target = set_simd_target,
    .scratch_bytes = [](const Norm& norm, int64_t rows,
                        DType data) { return norm.scratch_bytes(rows, data); },
    .forward = [](const Norm& norm, const ForwardArgs& args,
                  const Executor& executor) { norm.forward(args, executor); },
    .backward = [](const Norm& norm, const BackwardArgs& args,
                   const Executor& executor) { norm.backward(args, executor); },
    .has_threads = true,
    .max_chunks = kMaxChunks,
    .repeats = 1000,
};

}  // namespace seednorm::test

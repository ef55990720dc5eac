// Which sources this was built from.
#ifndef SEEDNORM_BENCH_SOURCE_VERSION_H_
#define SEEDNORM_BENCH_SOURCE_VERSION_H_

namespace seednorm::bench {

extern const char* const
    kSourceVersion;  // `git describe --always --dirty` at the last build; "unknown" without git

}  // namespace seednorm::bench

#endif  // SEEDNORM_BENCH_SOURCE_VERSION_H_

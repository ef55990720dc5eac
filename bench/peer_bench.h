// `bench norm --peer onednn`: our LayerNorm and RMSNorm beside oneDNN's, in turns within one run.
#ifndef SEEDNORM_BENCH_PEER_BENCH_H_
#define SEEDNORM_BENCH_PEER_BENCH_H_

#include <nlohmann/json.hpp>
#include <ostream>

#include "bench/norm_options.h"

namespace seednorm::bench {

// Both compute the same from the same tensors, which is checked before anything is timed; forward also saves
// what backward needs. Every variant is called three times in a round, and the third call is timed. Prints a
// line for each layer, pass, dtype and shape to `out`, and returns the results as JSON.
// Throws std::invalid_argument where oneDNN is absent, and std::runtime_error if results differ.
nlohmann::ordered_json run_peer_bench(const NormOptions& options, std::ostream& out);

}  // namespace seednorm::bench

#endif  // SEEDNORM_BENCH_PEER_BENCH_H_

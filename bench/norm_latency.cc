#include "bench/norm_latency.h"

#include <memory>

#include "bench/machine.h"
#include "bench/norm_case.h"

namespace seednorm::bench {

std::vector<LatencyResult> measure_latency(const NormOptions& options, int calls, const Executor& executor,
                                           int64_t (*allocations)()) {
  Buffer x(kLatencyCols * sizeof(float));
  Buffer y(kLatencyCols * sizeof(float));
  fill_normal(x.data(), kLatencyCols, DType::kFloat32, 0, executor);
  const Tensors tensors{x.data(), nullptr, y.data()};
  const NormShape shape{1, kLatencyCols, DType::kFloat32, param_dtype(options, DType::kFloat32)};
  std::vector<NormSpec> specs;
  std::vector<std::unique_ptr<NormCase>> cases;
  std::vector<Variant> variants;
  for (const NormSpec& spec : options.norms) {
    if (kLatencyCols % spec.heads != 0) continue;
    specs.push_back(spec);
    cases.push_back(std::make_unique<NormCase>(spec, shape, options.save_stats));
    NormCase* const one = cases.back().get();
    const auto batch = [=] {
      for (int i = 0; i < calls; ++i) one->forward(tensors, executor);
    };
    variants.push_back({spec.norm, batch, {}});
  }
  measure({.rounds = options.rounds, .seconds = options.seconds, .warmups = 1}, &variants);

  std::vector<LatencyResult> results;
  for (size_t i = 0; i < variants.size(); ++i) {
    const int64_t before = allocations == nullptr ? -1 : allocations();
    variants[i].call();
    const int64_t made = before < 0 ? -1 : allocations() - before;
    const auto ns = [&](double q) { return quantile(variants[i].us, q) * 1e3 / calls; };
    results.push_back({specs[i], kLatencyCols, ns(0.5), ns(0.1), ns(0.9), made});
  }
  return results;
}

}  // namespace seednorm::bench

#include "lab/train/run_status.h"

#include <ATen/Parallel.h>
#include <ATen/Version.h>

#include <cstdio>

#include "lab/nn/cpu/product_choice.h"
#include "lab/nn/cpu/products.h"
#include "lab/nn/matmul_speed.h"
#include "seednorm/simd.h"

namespace seednorm::lab {

RunStatus::RunStatus(const Workload& workload, const Trainer& trainer, const TrainConfig& config, int ranks)
    : workload_(workload),
      trainer_(trainer),
      config_(config),
      ranks_(ranks),
      activations_(config.dtype == Precision::kBFloat16 ? at::kBFloat16 : at::kFloat),
      peak_flops_(ranks * matmul_flops_per_s(activations_, trainer.device())),
      flops_per_unit_(workload.counts().flops_per_unit) {}

std::string RunStatus::banner() const {
  const std::vector<ParamGroup>& groups = trainer_.optimizer().groups();
  std::string out = workload_.summary();
  out += with_unit(static_cast<double>(config_.steps) * static_cast<double>(trainer_.units_per_step())) +
         " " + workload_.unit() + "s to train on; " +
         (ranks_ == 1 ? "" : std::to_string(ranks_) + " processes of ") +
         std::to_string(at::get_num_threads()) + " threads\n";
  out += with_unit(bytes_per_rank(groups, ranks_)) + "B " + (ranks_ == 1 ? "" : "in each process ") +
         "for weights, gradients and the optimizer's state; " + engine() + " at " + with_unit(peak_flops_) +
         "FLOP/s\n";
  return out + to_text(groups);
}

std::string RunStatus::engine() const {
  if (!trainer_.device().is_cpu()) {
    return trainer_.device().str() + ", matrix products in " + c10::toString(activations_);
  }
  return std::string("norms by ") + simd_target() + ", libtorch by " + at::get_cpu_capability() +
         ", matrix products in " + c10::toString(product_dtype(activations_)) + " (" +
         product_choice().text() + ")";
}

void RunStatus::show(const StepResult& step, double loss_ema, double seconds_per_step) {
  if (!progress_.is_due()) return;
  const double left = seconds_per_step * static_cast<double>(config_.steps - trainer_.steps_done());
  const double speed = static_cast<double>(trainer_.units_per_step()) / seconds_per_step;
  char line[160];
  std::snprintf(line, sizeof(line),
                "step %lld/%lld  loss %.4f (%.4f)  grad %.2f  lr %.2e  %s %ss/s, %.0f%% of peak  %.0f s left",
                static_cast<long long>(trainer_.steps_done()), static_cast<long long>(config_.steps),
                step.loss, loss_ema, step.grad_norm, step.lr, with_unit(speed).c_str(),
                workload_.unit().c_str(), 100 * speed * flops_per_unit_ / peak_flops_, left);
  progress_.show(line);
}

}  // namespace seednorm::lab

#include "lab/nn/feed_forward.h"

#include <torch/csrc/autograd/custom_function.h>

namespace seednorm::lab {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Runs work(expert, first row, rows) for each expert that has rows; `ends` are cumulative counts, [E] int64.
template <class Work>
void for_experts(const Tensor& ends, const Work& work) {
  const auto* end = ends.const_data_ptr<int64_t>();
  for (int64_t e = 0, first = 0; e < ends.numel(); first = end[e++]) {
    if (end[e] > first) work(e, first, end[e] - first);
  }
}

// The experts' SwiGLUs over rows that are sorted by expert: one node of the graph instead of six for each
// expert. x [R, D], gate and up [E, F, D], down [E, D, F], ends [E] -> [R, D].
struct ExpertsFunction : torch::autograd::Function<ExpertsFunction> {
  static Tensor forward(AutogradContext* ctx, const Tensor& x, const Tensor& gate, const Tensor& up,
                        const Tensor& down, const Tensor& ends) {
    const int64_t hidden = gate.size(1);
    Tensor g = at::empty({x.size(0), hidden}, x.options()), u = at::empty_like(g), y = at::empty_like(x);
    for_experts(ends, [&](int64_t e, int64_t first, int64_t rows) {
      const Tensor in = x.narrow(0, first, rows);
      Tensor g_rows = g.narrow(0, first, rows), u_rows = u.narrow(0, first, rows),
             out = y.narrow(0, first, rows);
      at::mm_out(g_rows, in, gate[e].t());
      at::mm_out(u_rows, in, up[e].t());
      at::mm_out(out, at::silu(g_rows).mul_(u_rows), down[e].t());
    });
    ctx->save_for_backward({x, gate, up, down, ends, g, u});
    return y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const variable_list saved = ctx->get_saved_variables();
    const Tensor &x = saved[0], &gate = saved[1], &up = saved[2], &down = saved[3], &ends = saved[4];
    const Tensor dy = grads[0].contiguous();
    Tensor dx = at::empty_like(x), dgate = at::zeros_like(gate), dup = at::zeros_like(up),
           ddown = at::zeros_like(down);
    for_experts(ends, [&](int64_t e, int64_t first, int64_t rows) {
      const Tensor in = x.narrow(0, first, rows), dout = dy.narrow(0, first, rows);
      const Tensor g = saved[5].narrow(0, first, rows), u = saved[6].narrow(0, first, rows);
      const Tensor s = at::silu(g), dh = at::mm(dout, down[e]);
      Tensor ddown_e = ddown[e], dgate_e = dgate[e], dup_e = dup[e], din = dx.narrow(0, first, rows);
      at::mm_out(ddown_e, dout.t(), s * u);
      const Tensor du = dh * s, dg = at::silu_backward(dh * u, g);
      at::mm_out(dgate_e, dg.t(), in);
      at::mm_out(dup_e, du.t(), in);
      at::mm_out(din, dg, gate[e]);
      din.addmm_(du, up[e]);
    });
    return {dx, dgate, dup, ddown, Tensor()};
  }
};

}  // namespace

SwiGlu::SwiGlu(int64_t dim, int64_t hidden) {
  gate_proj_ = register_module("gate_proj", std::make_shared<Linear>(dim, hidden));
  up_proj_ = register_module("up_proj", std::make_shared<Linear>(dim, hidden));
  down_proj_ = register_module("down_proj", std::make_shared<Linear>(hidden, dim));
}

Tensor SwiGlu::forward(const Tensor& x) const {
  return down_proj_->forward(at::silu(gate_proj_->forward(x)) * up_proj_->forward(x));
}

Moe::Moe(const MoeConfig& config) : config_(config) {
  const int64_t experts = config.num_experts;
  gate_ = register_module("gate", std::make_shared<Linear>(config.dim, experts));
  gate_proj_ = register_parameter("gate_proj", at::empty({experts, config.hidden, config.dim}));
  up_proj_ = register_parameter("up_proj", at::empty({experts, config.hidden, config.dim}));
  down_proj_ = register_parameter("down_proj", at::empty({experts, config.dim, config.hidden}));
}

Tensor Moe::forward(const Tensor& x, std::vector<AuxiliaryLoss>* losses) const {
  const int64_t experts = config_.num_experts, top_k = config_.top_k;
  const Tensor tokens = x.reshape({-1, config_.dim});
  const Tensor logits = gate_->forward(tokens).to(at::kFloat);
  const Tensor probabilities = at::softmax(logits, -1);
  auto [weights, chosen] = at::topk(probabilities, top_k, -1);
  if (config_.norm_topk_prob) weights = weights / weights.sum(-1, true);

  // Assignments sorted by expert; a stable sort keeps tokens in order, so sums do too.
  const Tensor flat = chosen.flatten();
  const Tensor order = at::argsort(flat, /*stable=*/true, /*dim=*/0, /*descending=*/false);
  const Tensor counts = at::bincount(flat, {}, experts);
  const Tensor rows = tokens.index_select(0, at::floor_divide(order, top_k));
  const at::ScalarType dtype = x.scalar_type();
  const Tensor out = ExpertsFunction::apply(rows, gate_proj_.to(dtype), up_proj_.to(dtype),
                                            down_proj_.to(dtype), counts.cumsum(0));
  const Tensor back = at::empty_like(order).scatter_(0, order, at::arange(order.numel()));
  const Tensor by_token = out.index_select(0, back).view({-1, top_k, config_.dim});
  if (losses != nullptr) {
    const Tensor share = counts.to(at::kFloat) / static_cast<double>(flat.numel());
    losses->push_back({(share * probabilities.mean(0)).sum() * static_cast<double>(experts),
                       at::logsumexp(logits, -1).square().mean()});
  }
  return (by_token * weights.to(dtype).unsqueeze(-1)).sum(1).view_as(x);
}

}  // namespace seednorm::lab

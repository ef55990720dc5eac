#include "lab/nn/feed_forward.h"

#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "lab/base/parallel.h"
#include "lab/nn/cpu/few_rows.h"
#include "lab/nn/cpu/multiply.h"
#include "lab/nn/cpu/one_thread.h"
#include "lab/nn/cpu/products.h"
#include "lab/nn/cpu/row_kernels.h"
#include "lab/nn/device.h"

namespace seednorm::lab {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Rows of one expert, at most a tile of them.
struct Piece {
  int64_t expert, first, rows;
};

// Calls work(pieces) for disjoint parts of all pieces of the rows x, in parallel. An expert's pieces stay
// with one thread, which multiplies its matrices alone, since so few rows cannot occupy two. All threads work
// on a single expert, in the parts of `work` that are themselves parallel. On other devices than the CPU one
// call takes all pieces. `ends` are cumulative counts, [E] int64, on the CPU.
template <class Work>
void for_experts(const Tensor& x, const Tensor& ends, int64_t tile, const Work& work) {
  require_cpu("experts", {ends});
  const bool together = ends.numel() == 1 || !uses_cpu_kernels(x);
  const auto* end = ends.const_data_ptr<int64_t>();
  const auto run = [&](int64_t begin, int64_t behind) {
    const at::AutoDispatchBelowADInplaceOrView no_graph;
    std::optional<OneThread> alone;
    if (!together) alone.emplace();
    std::vector<Piece> pieces;
    for (int64_t e = begin, first = e == 0 ? 0 : end[e - 1]; e < behind; ++e) {
      for (; first < end[e]; first += pieces.back().rows) {
        pieces.push_back({e, first, std::min(tile, end[e] - first)});
      }
    }
    work(pieces);
  };
  if (together) return run(0, ends.numel());
  parallel_for(0, ends.numel(), 1, run);
}

// Experts that oneDNN multiplies, whose numbers of rows differ in every step (padded_rows).
bool pads(const Tensor& x, const Tensor& ends, at::ScalarType dtype, int64_t hidden) {
  if (ends.numel() <= 1 || !uses_cpu_kernels(x)) return false;
  if (dtype != at::kFloat) return dtype == at::kBFloat16;
  const std::array<Library, kNumProductKinds>& chosen = product_choice().float32;
  const double flops = 2.0 * static_cast<double>(x.numel()) * static_cast<double>(hidden);
  return flops >= kOneDnnFlops * static_cast<double>(ends.numel()) &&
         std::find(chosen.begin(), chosen.end(), Library::kOneDnn) != chosen.end();
}

void multiply_by_mkl(const Tensor& out, const Tensor& a, const Tensor& b, double scale, double keep) {
  multiply_by(Library::kMkl, out, a, b, scale, keep);
}

// The product of what each expert does: in tiles by all threads, or by the expert's own thread.
auto product_of(const Tensor& x, const Tensor& ends, bool padded) {
  if (ends.numel() == 1 || !uses_cpu_kernels(x)) return &multiply;
  return padded ? &multiply_alone : &multiply_by_mkl;
}

// Rows that stay in the cache; other devices take them all.
int64_t tile_of(const Tensor& x, int64_t hidden) {
  return uses_cpu_kernels(x) ? tile_rows(hidden) : std::max<int64_t>(x.size(0), 1);
}

// libtorch takes several passes over bfloat16 and rounds in each, so that dtype has kernels of its own.
bool has_gate_kernels(const Tensor& g) { return uses_cpu_kernels(g) && g.scalar_type() == at::kBFloat16; }

// h = silu(g) u, [R, F] each; s is silu(g) where gate_rows_backward needs it, and may be h.
void gate_rows(const Tensor& h, const Tensor& s, const Tensor& g, const Tensor& u) {
  for_row_blocks(h, [&](int64_t first, int64_t count) {
    const auto rows = [&](const Tensor& t) { return t.narrow(0, first, count); };
    Tensor to = rows(h), silu = rows(s);
    if (has_gate_kernels(g)) {
      const GateArgs args = {.dtype = DType::kBFloat16,
                             .gate = rows(g).const_data_ptr(),
                             .up = rows(u).const_data_ptr(),
                             .out = to.mutable_data_ptr()};
      return gate_elements(args, 0, to.numel());
    }
    at::silu_out(silu, rows(g));
    at::mul_out(to, silu, rows(u));
  });
}

// du = s dh and dg = dh u silu'(g), where s is silu(g); du may be s and dg may be dh. All are contiguous,
// [R, F].
void gate_rows_backward(const Tensor& du, const Tensor& dg, const Tensor& s, const Tensor& dh,
                        const Tensor& g, const Tensor& u) {
  for_row_blocks(dh, [&](int64_t first, int64_t count) {
    const auto rows = [&](const Tensor& t) { return t.narrow(0, first, count); };
    Tensor to_u = rows(du), to_g = rows(dg);
    if (has_gate_kernels(g)) {
      const GateGradientArgs args = {.dtype = DType::kBFloat16,
                                     .gate = rows(g).const_data_ptr(),
                                     .up = rows(u).const_data_ptr(),
                                     .dout = rows(dh).const_data_ptr(),
                                     .dgate = to_g.mutable_data_ptr(),
                                     .dup = to_u.mutable_data_ptr()};
      return gate_gradients(args, 0, to_g.numel());
    }
    at::mul_out(to_u, rows(s), rows(dh));
    at::silu_backward_out(to_g, at::mul_out(to_g, rows(dh), rows(u)), rows(g));
  });
}

// SwiGLUs over rows that are sorted by expert; a plain one is one expert. It is one node of the graph, which
// keeps the outputs of gate and up and recomputes the rest in backward; a tile's numbers stay in the cache
// from one product to the next. x [R, D], gate and up [E, F, D], down [E, D, F] in the dtype of products,
// ends [E] on the CPU -> [R, D].
struct ExpertsFunction : torch::autograd::Function<ExpertsFunction> {
  static Tensor forward(AutogradContext* ctx, const Tensor& x, const Tensor& gate, const Tensor& up,
                        const Tensor& down, const Tensor& ends) {
    const int64_t hidden = gate.size(1), tile = tile_of(x, hidden);
    const at::ScalarType dtype = gate.scalar_type();
    const bool padded = pads(x, ends, dtype, hidden);
    const auto times = product_of(x, ends, padded);
    Tensor g = at::empty({x.size(0), hidden}, x.options()), u = at::empty_like(g), y = at::empty_like(x);
    for_experts(x, ends, tile, [&](const std::vector<Piece>& pieces) {
      const auto rows_of = [&](const Tensor& matrix) { return Rows(matrix, dtype, tile, padded); };
      Rows in_rows = rows_of(x), g_rows = rows_of(g), u_rows = rows_of(u), out_rows = rows_of(y);
      const int64_t most = std::min(tile, x.size(0));
      const Tensor buffer = at::empty({padded ? padded_rows(most) : most, hidden}, gate.options());
      for (const auto& [e, first, rows] : pieces) {
        const Tensor in = in_rows.read(first, rows);
        Tensor g_tile = g_rows.target(first, rows), u_tile = u_rows.target(first, rows),
               out = out_rows.target(first, rows), h = buffer.narrow(0, 0, in.size(0));
        times(g_tile, in, gate[e].t(), 1, 0);
        times(u_tile, in, up[e].t(), 1, 0);
        gate_rows(h, h, g_tile, u_tile);
        times(out, h, down[e].t(), 1, 0);
        for (Rows* r : {&g_rows, &u_rows, &out_rows}) r->store(first, rows);
      }
    });
    ctx->save_for_backward({x, gate, up, down, ends, g, u});
    return y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const variable_list saved = ctx->get_saved_variables();
    const Tensor &x = saved[0], &gate = saved[1], &up = saved[2], &down = saved[3], &ends = saved[4];
    const int64_t hidden = gate.size(1), tile = tile_of(x, hidden);
    const at::ScalarType dtype = gate.scalar_type();
    Tensor dx = at::empty_like(x), dgate = at::zeros_like(gate), dup = at::zeros_like(up),
           ddown = at::zeros_like(down);
    const Tensor dy = grads[0].contiguous();
    const bool padded = pads(x, ends, dtype, hidden);
    const auto times = product_of(x, ends, padded);
    for_experts(x, ends, tile, [&](const std::vector<Piece>& pieces) {
      const auto rows_of = [&](const Tensor& matrix) { return Rows(matrix, dtype, tile, padded); };
      Rows in_rows = rows_of(x), g_rows = rows_of(saved[5]), u_rows = rows_of(saved[6]),
           dout_rows = rows_of(dy), din_rows = rows_of(dx);
      const int64_t most = std::min(tile, x.size(0));
      const Tensor buffers = at::empty({3, padded ? padded_rows(most) : most, hidden}, gate.options());
      for (const auto& [e, first, rows] : pieces) {
        const Tensor in = in_rows.read(first, rows), dout = dout_rows.read(first, rows);
        const Tensor g = g_rows.read(first, rows), u = u_rows.read(first, rows);
        const int64_t all = in.size(0);
        Tensor s = buffers[0].narrow(0, 0, all), h = buffers[1].narrow(0, 0, all),
               dh = buffers[2].narrow(0, 0, all), din = din_rows.target(first, rows);
        gate_rows(h, s, g, u);
        times(ddown[e], dout.t(), h, 1, 1);
        times(dh, dout, down[e], 1, 0);
        gate_rows_backward(/*du=*/s, /*dg=*/dh, s, dh, g, u);
        const Tensor &du = s, &dg = dh;
        times(dgate[e], dg.t(), in, 1, 1);
        times(dup[e], du.t(), in, 1, 1);
        times(din, dg, gate[e], 1, 0);
        times(din, du, up[e], 1, 1);
        din_rows.store(first, rows);
      }
    });
    return {dx, dgate, dup, ddown, Tensor()};
  }
};

// Whether libtorch multiplies these rows with matrices [E, F, D] of experts at once. Rows of both must be
// whole multiples of 16 bytes.
bool has_grouped_products(const Tensor& x, const Tensor& matrices) {
  const auto whole = [&](int64_t width) { return width * x.element_size() % 16 == 0; };
  return !uses_cpu_kernels(x) && whole(matrices.size(1)) && whole(matrices.size(2)) &&
         (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16);
}

// The same by libtorch's products of groups, with `ends` on x's device: nothing waits for the device where
// libtorch has a kernel for it (bfloat16 on GPUs from H100); elsewhere libtorch itself takes one expert after
// the other.
Tensor grouped_experts(const Tensor& x, const Tensor& gate, const Tensor& up, const Tensor& down,
                       const Tensor& ends) {
  const Tensor groups = ends.to(at::kInt);
  const auto times = [&](const Tensor& rows, const Tensor& matrices) {
    return at::_grouped_mm(rows, matrices.transpose(1, 2), groups);
  };
  return times(at::silu(times(x, gate)) * times(x, up), down);
}

// The same for so few tokens that no expert gets more than kFewRows.
Tensor experts_of_few(const Tensor& x, const Tensor& gate, const Tensor& up, const Tensor& down,
                      const Tensor& ends) {
  const Tensor y = at::empty_like(x);
  for_experts(x, ends, kFewRows, [&](const std::vector<Piece>& pieces) {
    for (const auto& [e, first, rows] : pieces) {
      const Tensor in = x.narrow(0, first, rows);
      const Tensor h = few_rows_gated(few_rows_product(in, gate[e]), few_rows_product(in, up[e]));
      y.narrow(0, first, rows).copy_(few_rows_product(h, down[e]));
    }
  });
  return y;
}

// Rows index[i] / times of x [R, D], where index is a permutation of times R numbers and inverse undoes it.
// The gradient of index_select adds row by row; the gradient of a permutation is again a permutation.
struct PermuteFunction : torch::autograd::Function<PermuteFunction> {
  static Tensor forward(AutogradContext* ctx, const Tensor& x, const Tensor& index, const Tensor& inverse,
                        int64_t times) {
    ctx->save_for_backward({inverse});
    ctx->saved_data["times"] = times;
    return x.index_select(0, times == 1 ? index : at::floor_divide(index, times));
  }
  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const int64_t times = ctx->saved_data["times"].toInt();
    const Tensor dx = grads[0].index_select(0, ctx->get_saved_variables()[0]);
    return {times == 1 ? dx : dx.view({-1, times, dx.size(1)}).sum(1), Tensor(), Tensor(), Tensor()};
  }
};

}  // namespace

SwiGlu::SwiGlu(int64_t dim, int64_t hidden) {
  gate_proj_ = register_module("gate_proj", std::make_shared<Linear>(dim, hidden));
  up_proj_ = register_module("up_proj", std::make_shared<Linear>(dim, hidden));
  down_proj_ = register_module("down_proj", std::make_shared<Linear>(hidden, dim));
}

Tensor SwiGlu::forward(const Tensor& x) const {
  if (are_few_rows(x, gate_proj_->weight)) {
    return down_proj_->forward(few_rows_gated(gate_proj_->forward(x), up_proj_->forward(x)));
  }
  const Tensor rows = x.reshape({-1, x.size(-1)});
  const auto matrix = [dtype = product_dtype(x)](const Linear& linear) {
    return linear.weight.to(dtype).unsqueeze(0);
  };
  return ExpertsFunction::apply(rows, matrix(*gate_proj_), matrix(*up_proj_), matrix(*down_proj_),
                                at::full({1}, rows.size(0), at::kLong))
      .view_as(x);
}

Moe::Moe(const MoeConfig& config) : config_(config) {
  const int64_t experts = config.num_experts;
  gate_ = register_module("gate", std::make_shared<Linear>(config.dim, experts));
  gate_proj_ = register_parameter("gate_proj", at::empty({experts, config.hidden, config.dim}));
  up_proj_ = register_parameter("up_proj", at::empty({experts, config.hidden, config.dim}));
  down_proj_ = register_parameter("down_proj", at::empty({experts, config.dim, config.hidden}));
}

// The experts' outputs for rows [R, D] that are sorted by expert.
Tensor Moe::run_experts(const Tensor& rows, const Tensor& ends, bool few) const {
  if (few) return experts_of_few(rows, gate_proj_, up_proj_, down_proj_, ends);
  const at::ScalarType dtype = product_dtype(rows);
  const Tensor gate = gate_proj_.to(dtype), up = up_proj_.to(dtype), down = down_proj_.to(dtype);
  if (has_grouped_products(rows, gate)) return grouped_experts(rows, gate, up, down, ends);
  // Each expert's own products need its number of rows: this waits for the device.
  return ExpertsFunction::apply(rows, gate, up, down, ends.cpu());
}

Tensor Moe::forward(const Tensor& x, std::vector<AuxiliaryLoss>* losses) const {
  const int64_t experts = config_.num_experts, top_k = config_.top_k;
  const Tensor tokens = x.reshape({-1, config_.dim});
  const Tensor logits = gate_->forward(tokens).to(at::kFloat);
  const Tensor probabilities = at::softmax(logits, -1);
  auto [weights, chosen] = at::topk(probabilities, top_k, -1);
  if (observer_) observer_(chosen);
  if (config_.norm_topk_prob) weights = weights / weights.sum(-1, true);

  // Assignments sorted by expert; a stable sort keeps tokens in order, so sums do too.
  const Tensor flat = chosen.flatten();
  const Tensor order = at::argsort(flat, /*stable=*/true, /*dim=*/0, /*descending=*/false);
  // bincount would wait for the device, since the largest number decides the size of its result.
  const Tensor counts = at::zeros({experts}, flat.options()).scatter_add_(0, flat, at::ones_like(flat));
  const Tensor back = at::empty_like(order).scatter_(0, order, at::arange(order.numel(), order.options()));
  const Tensor rows = PermuteFunction::apply(tokens, order, back, top_k);
  const at::ScalarType dtype = x.scalar_type();
  const Tensor out = run_experts(rows, counts.cumsum(0), are_few_rows(tokens, gate_proj_));
  const Tensor by_token = PermuteFunction::apply(out, back, order, 1).view({-1, top_k, config_.dim});
  if (losses != nullptr) {
    const OneThread alone;  // sums over all tokens
    const Tensor share = counts.to(at::kFloat) / static_cast<double>(flat.numel());
    losses->push_back({(share * probabilities.mean(0)).sum() * static_cast<double>(experts),
                       at::logsumexp(logits, -1).square().mean()});
  }
  return (by_token * weights.to(dtype).unsqueeze(-1)).sum(1).view_as(x);
}

}  // namespace seednorm::lab

#include "lab/language/nn/packing.h"

#include <ATen/Functions.h>

#include <limits>
#include <numeric>

namespace seednorm::lab {

using at::Tensor;

namespace {

Tensor branch_mask(const PackedSequence& sequence) {
  const int64_t rows = std::accumulate(sequence.branches.begin(), sequence.branches.end(), int64_t{0});
  Tensor mask = at::zeros({rows, sequence.trunk + rows});
  mask.narrow(1, sequence.trunk, rows).fill_(-std::numeric_limits<float>::infinity());
  int64_t first = 0;
  for (const int64_t size : sequence.branches) {
    mask.narrow(0, first, size).narrow(1, sequence.trunk + first, size).triu_(1);
    first += size;
  }
  return mask;
}

// [1, T, Hkv, d] -> [1, Hkv times, T, d]
Tensor by_head(const Tensor& x, int64_t times) {
  const Tensor all = times == 1 ? x : x.unsqueeze(3).expand({-1, -1, -1, times, -1}).flatten(2, 3);
  return all.transpose(1, 2);
}

}  // namespace

Packing::Packing(const std::vector<PackedSequence>& sequences) {
  std::vector<int64_t> positions;
  const auto append = [&](int64_t first, int64_t count) {
    for (int64_t i = 0; i < count; ++i) positions.push_back(first + i);
  };
  for (const PackedSequence& s : sequences) {
    const auto begin = static_cast<int64_t>(positions.size());
    append(0, s.trunk);
    for (const int64_t size : s.branches) append(s.trunk, size);
    const int64_t branches = static_cast<int64_t>(positions.size()) - begin - s.trunk;
    pieces_.push_back({begin, s.trunk, branches, Table(branches > 0 ? branch_mask(s) : Tensor())});
  }
  positions_ = at::tensor(positions, at::kLong);
}

Tensor Packing::attend(const Tensor& queries, const Tensor& keys, const Tensor& values) const {
  const int64_t times = queries.size(2) / keys.size(2);
  const Tensor q = by_head(queries, 1), k = by_head(keys, times), v = by_head(values, times);
  std::vector<Tensor> out;
  for (const Piece& p : pieces_) {
    const auto part = [&p](const Tensor& t, int64_t first, int64_t count) {
      return t.narrow(2, p.first + first, count);
    };
    out.push_back(at::scaled_dot_product_attention(part(q, 0, p.trunk), part(k, 0, p.trunk),
                                                   part(v, 0, p.trunk), {}, 0.0, /*is_causal=*/true));
    if (p.branches == 0) continue;
    const int64_t all = p.trunk + p.branches;
    const Tensor& mask = p.mask.on(q.device());
    out.push_back(at::scaled_dot_product_attention(part(q, p.trunk, p.branches), part(k, 0, all),
                                                   part(v, 0, all),
                                                   // Other devices than the CPU want the dtype of q.
                                                   uses_cpu_kernels(q) ? mask : mask.to(q.scalar_type())));
  }
  return at::cat(out, 2).transpose(1, 2);
}

}  // namespace seednorm::lab

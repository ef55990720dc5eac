#include "lab/dist/gradient_exchange.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <deque>

#include "lab/dist/sum_tree.h"

namespace seednorm::lab {

using at::Tensor;

namespace {

// Buckets that travel at the same time: enough to keep the network busy, few enough to need little memory.
constexpr size_t kInFlight = 3;

Tensor part_of(const Tensor& param, Range range) {
  return param.view(-1).narrow(0, range.begin, range.count());
}

}  // namespace

struct GradientExchange::Bucket {
  size_t missing = 0;  // parameters that put() has not brought yet
  Tensor own;          // [count] this rank's gradients
  Tensor received;     // the gradients of this rank's part from each rank that contributes
  std::unique_ptr<Pending> pending;
};

GradientExchange::GradientExchange(const Group& group, const Shards& shards, std::vector<bool> contributes,
                                   at::TensorOptions options)
    : group_(group),
      shards_(shards),
      contributes_(std::move(contributes)),
      options_(options),
      sums_(shards.sizes().size()) {
  for (const Shards::Bucket& b : shards.buckets()) buckets_.emplace_back().missing = b.params.size();
}

GradientExchange::~GradientExchange() = default;

void GradientExchange::put(size_t param, const Tensor& gradient) {
  const at::NoGradGuard no_grad;
  const size_t index = shards_.bucket_of(param);
  Bucket& bucket = buckets_[index];
  const Shards::Bucket& layout = shards_.buckets()[index];
  if (contributes_[group_.rank()]) {
    if (!bucket.own.defined()) bucket.own = at::empty({layout.count}, options_);
    for (const Piece& p : layout.params) {
      if (p.param != param) continue;
      Tensor target = bucket.own.narrow(0, p.offset, p.range.count());
      gradient.defined() ? target.copy_(gradient.reshape(-1)) : target.zero_();
    }
  }
  --bucket.missing;
  while (next_ < buckets_.size() && buckets_[next_].missing == 0) {
    send(next_++);
    if (next_ > settled_ + kInFlight) settle(settled_++);
  }
}

void GradientExchange::send(size_t index) {
  Bucket& bucket = buckets_[index];
  const Shards::Bucket& layout = shards_.buckets()[index];
  const int64_t mine = layout.count_of(group_.rank());
  std::vector<int64_t> in(group_.size()), out(group_.size());
  int64_t total = 0;
  for (int r = 0; r < group_.size(); ++r) {
    if (contributes_[group_.rank()]) in[r] = layout.count_of(r);
    if (contributes_[r]) out[r] = mine;
    total += out[r];
  }
  if (!bucket.own.defined()) bucket.own = at::empty({0}, options_);
  bucket.received = at::empty({total}, options_);
  bucket.pending = group_.exchange(bucket.received, bucket.own, std::move(out), std::move(in));
}

void GradientExchange::settle(size_t index) {
  const at::NoGradGuard no_grad;
  Bucket& bucket = buckets_[index];
  const Shards::Bucket& layout = shards_.buckets()[index];
  bucket.pending->wait();
  const int64_t mine = layout.count_of(group_.rank());
  std::vector<Tensor> parts(group_.size());
  for (int64_t r = 0, at = 0; r < group_.size(); ++r) {
    if (contributes_[r]) parts[r] = bucket.received.narrow(0, mine * at++, mine);
  }
  const Tensor sum = tree_sum<Tensor>(
                         0, group_.size(), [&](int64_t r) { return parts[r]; },
                         [](Tensor a, const Tensor& b) {
                           return !a.defined() ? b : !b.defined() ? a : a.add_(b);
                         })
                         .clone();  // so that the other parts' memory is free
  for (const Piece& p : layout.pieces_of(group_.rank())) {
    sums_[p.param] = sum.narrow(0, p.offset, p.range.count());
  }
  bucket = {};
}

std::vector<Tensor> GradientExchange::finish() {
  while (settled_ < buckets_.size()) settle(settled_++);
  return std::move(sums_);
}

void share_params(const Group& group, const Shards& shards, const std::vector<Tensor>& params) {
  const at::NoGradGuard no_grad;
  struct Transfer {
    Tensor mine, all;
    std::unique_ptr<Pending> pending;
  };
  const auto start = [&](const Shards::Bucket& b) {
    // Parts differ by little, and gathering wants equal ones.
    int64_t longest = 0;
    for (int r = 0; r < group.size(); ++r) longest = std::max(longest, b.count_of(r));
    Transfer t = {at::zeros({longest}, params[0].options()),
                  at::empty({group.size(), longest}, params[0].options()), nullptr};
    for (const Piece& p : b.pieces_of(group.rank())) {
      t.mine.narrow(0, p.offset, p.range.count()).copy_(part_of(params[p.param], p.range));
    }
    t.pending = group.start_gather(t.all, t.mine);
    return t;
  };
  const auto finish = [&](const Shards::Bucket& b, const Transfer& t) {
    t.pending->wait();
    for (int r = 0; r < group.size(); ++r) {
      if (r == group.rank()) continue;
      for (const Piece& p : b.pieces_of(r)) {
        part_of(params[p.param], p.range).copy_(t.all[r].narrow(0, p.offset, p.range.count()));
      }
    }
  };
  const std::vector<Shards::Bucket>& buckets = shards.buckets();
  std::deque<Transfer> transfers;  // of the buckets before i
  for (size_t i = 0; i < buckets.size() + kInFlight; ++i) {
    if (i < buckets.size()) transfers.push_back(start(buckets[i]));
    if (i < kInFlight) continue;
    if (i - kInFlight >= buckets.size()) break;
    finish(buckets[i - kInFlight], transfers.front());
    transfers.pop_front();
  }
}

}  // namespace seednorm::lab

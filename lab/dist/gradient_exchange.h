// Adds the gradients of all ranks, in buckets and while backward still runs.
#ifndef SEEDNORM_LAB_DIST_GRADIENT_EXCHANGE_H_
#define SEEDNORM_LAB_DIST_GRADIENT_EXCHANGE_H_

#include <memory>
#include <vector>

#include "lab/dist/group.h"
#include "lab/dist/shards.h"

namespace seednorm::lab {

// For one step of a group with several ranks. Each rank sends every other its part of a bucket, and adds up
// what it receives in the order of sum_tree.h.
class GradientExchange {
 public:
  // `contributes` says which ranks have a gradient at all; a rank without micro-batches has none. `options`
  // are the gradients' device and dtype.
  GradientExchange(const Group& group, const Shards& shards, std::vector<bool> contributes,
                   at::TensorOptions options);
  ~GradientExchange();

  // Takes this rank's gradient of a parameter, undefined if it has none, once for each parameter. A bucket
  // leaves when it and all buckets before it are complete.
  void put(size_t param, const at::Tensor& gradient);
  // Waits for all buckets. -> for each parameter the sum of all gradients within this rank's range,
  // one-dimensional; undefined if the range is empty.
  std::vector<at::Tensor> finish();

 private:
  struct Bucket;
  void send(size_t index);
  // Waits for a bucket and adds what it brought.
  void settle(size_t index);

  const Group& group_;
  const Shards& shards_;
  std::vector<bool> contributes_;
  at::TensorOptions options_;
  std::vector<Bucket> buckets_;
  size_t next_ = 0, settled_ = 0;  // the first bucket that is not sent, and not settled
  std::vector<at::Tensor> sums_;   // by parameter
};

// Brings all parameters up to date after each rank has updated its ranges. `params` are contiguous.
void share_params(const Group& group, const Shards& shards, const std::vector<at::Tensor>& params);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_DIST_GRADIENT_EXCHANGE_H_

// The processes that train one model together.
#ifndef SEEDNORM_LAB_DIST_GROUP_H_
#define SEEDNORM_LAB_DIST_GROUP_H_

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "lab/dist/launch.h"

namespace seednorm::lab {

// An operation in progress, whose tensors must live until wait() returns.
class Pending {
 public:
  virtual ~Pending() = default;
  virtual void wait() = 0;
};

// Every rank makes the same calls in the same order. Errors (std::runtime_error) of all operations: a rank
// ended or does not answer; the message names it. With a single process they do nothing.
class Group {
 public:
  // One process.
  explicit Group(at::Device device = at::kCPU);
  // Meets the others. Tensors on `device` travel without a detour through the CPU's memory (NCCL on GPUs);
  // those on the CPU always can. Errors (UserError): the address or port cannot be used, ranks do not come,
  // or two have the same number; the messages say what was waited for.
  explicit Group(const Launch& launch, at::Device device = at::kCPU);
  static const Group& alone();
  ~Group();

  int rank() const { return rank_; }
  int size() const { return size_; }
  bool is_main() const { return rank_ == 0; }
  // That this process trains on.
  at::Device device() const { return device_; }

  // Contiguous `mine`, of the same shape on every rank -> [size, ...].
  at::Tensor gather(const at::Tensor& mine) const;
  std::vector<std::string> gather(const std::string& mine) const;
  std::string broadcast(const std::string& of_main) const;
  // Sends in[first .. first + in_counts[r]) to rank r, and receives out_counts[r] numbers from it, rank after
  // rank; both tensors are one-dimensional.
  std::unique_ptr<Pending> exchange(const at::Tensor& out, const at::Tensor& in,
                                    std::vector<int64_t> out_counts, std::vector<int64_t> in_counts) const;
  // gather() into `out`, [size, ...].
  std::unique_ptr<Pending> start_gather(const at::Tensor& out, const at::Tensor& mine) const;

  // Calls `work` on every rank. If it throws on any of them, all throw the error of the first.
  void together(const std::function<void()>& work) const;
  // Calls `work` on rank 0 while the others wait; if it throws, all do.
  void on_main(const std::function<void()>& work) const;

 private:
  struct Connection;

  int rank_ = 0, size_ = 1;
  at::Device device_;
  std::shared_ptr<Connection> connection_;  // null with one process
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_DIST_GROUP_H_

#include "lab/dist/group.h"

#include <ATen/Functions.h>
#include <c10/util/Exception.h>
#include <c10/util/Flags.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <future>
#include <thread>

#include "lab/base/error.h"
#include "lab/dist/address.h"
#include "lab/dist/ranks_lost.h"

#ifdef SEEDNORM_HAS_GLOO
// libtorch uses Gloo but does not bring its headers; no object of Gloo is created here.
#define USE_DISTRIBUTED
#define USE_C10D_GLOO
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#ifdef SEEDNORM_HAS_NCCL
#define USE_C10D_NCCL
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#endif
#endif

C10_DECLARE_int(caffe2_log_level);

namespace seednorm::lab {

using at::Tensor;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

using Clock = std::chrono::steady_clock;

// Kinds of errors that travel between ranks, as the first letter of a message.
constexpr char kUser = 'U', kStopped = 'I', kOther = 'E';

// The error of `work` as a letter and its message; empty without one.
std::string error_of(const std::function<void()>& work) {
  try {
    work();
    return "";
  } catch (const RanksLost&) {  // nobody is left to tell
    throw;
  } catch (const UserError& e) {
    return kUser + std::string(e.what());
  } catch (const std::invalid_argument& e) {
    return kUser + std::string(e.what());
  } catch (const Interrupted& e) {
    return kStopped + std::string(e.what());
  } catch (const std::exception& e) {
    return kOther + std::string(e.what());
  }
}

[[noreturn]] void rethrow(const std::string& error, const std::string& whose) {
  const std::string message = whose + error.substr(1);
  if (error[0] == kUser) throw UserError(message);
  if (error[0] == kStopped) throw Interrupted(message);
  throw std::runtime_error(message);
}

}  // namespace

void Group::together(const std::function<void()>& work) const {
  if (size_ == 1) return work();
  const std::vector<std::string> errors = gather(error_of(work));
  for (int r = 0; r < size_; ++r) {
    if (!errors[r].empty()) rethrow(errors[r], r == 0 ? "" : "rank " + std::to_string(r) + ": ");
  }
}

void Group::on_main(const std::function<void()>& work) const {
  if (size_ == 1) return work();
  const std::string error = broadcast(is_main() ? error_of(work) : "");
  if (!error.empty()) rethrow(error, "");
}

Group::Group(at::Device device) : device_(device) {}
Group::~Group() = default;

const Group& Group::alone() {
  static const Group kAlone;
  return kAlone;
}

#ifndef SEEDNORM_HAS_GLOO

struct Group::Connection {};
namespace {
[[noreturn]] void refuse() {
  throw UserError(
      "this build trains in one process only, because Gloo's headers (libgloo-dev) were missing; install "
      "them and build again, or start one process");
}
}  // namespace
Group::Group(const Launch&, at::Device device) : device_(device) { refuse(); }
Tensor Group::gather(const Tensor& mine) const { return mine.unsqueeze(0); }
std::vector<std::string> Group::gather(const std::string& mine) const { return {mine}; }
std::string Group::broadcast(const std::string& of_main) const { return of_main; }
std::unique_ptr<Pending> Group::exchange(const Tensor&, const Tensor&, std::vector<int64_t>,
                                         std::vector<int64_t>) const {
  refuse();
}
std::unique_ptr<Pending> Group::start_gather(const Tensor&, const Tensor&) const { refuse(); }

#else

namespace {

// The time that a rank waits for another, at the beginning and in each exchange.
milliseconds patience() {
  constexpr const char* kVariable = "SEEDNORM_DIST_TIMEOUT";
  const char* text = std::getenv(kVariable);
  if (text == nullptr) return seconds(600);
  char* end = nullptr;
  const double value = std::strtod(text, &end);
  if (end == text || *end != '\0' || !(value > 0) || value > 1e6) {
    throw UserError(std::string(kVariable) + ": expected seconds above 0, got " + quote(text));
  }
  return milliseconds(static_cast<int64_t>(1e3 * value));
}

std::vector<uint8_t> bytes_of(const std::string& text) { return {text.begin(), text.end()}; }
std::string text_of(const std::vector<uint8_t>& bytes) { return {bytes.begin(), bytes.end()}; }
// The first sentence of an error of c10d or Gloo, without its place in the sources.
std::string first_line(const std::exception& e) {
  const auto* error = dynamic_cast<const c10::Error*>(&e);
  std::string text = error != nullptr ? error->what_without_backtrace() : e.what();
  if (const size_t end = text.find("] "); text.starts_with("[/") && end != std::string::npos)
    text.erase(0, end + 2);
  text = text.substr(0, text.find('\n'));
  return text.substr(0, text.find(". "));
}

// The backend between GPUs.
c10::intrusive_ptr<c10d::Backend> connect_devices(
    [[maybe_unused]] const c10::intrusive_ptr<c10d::Store>& store, [[maybe_unused]] int rank,
    [[maybe_unused]] int size, [[maybe_unused]] milliseconds limit) {
#ifdef SEEDNORM_HAS_NCCL
  const auto options = c10d::ProcessGroupNCCL::Options::create();
  options->timeout = limit;
  return c10::make_intrusive<c10d::ProcessGroupNCCL>(store, rank, size, options);
#else
  throw UserError(
      "this build cannot train on several GPUs, because its libtorch has no NCCL; build the preset lab-cuda");
#endif
}

// Writes signs of life into the store, so that the others know who ended when an exchange fails.
class Heart {
 public:
  static constexpr milliseconds kBeat{500};

  Heart(c10::intrusive_ptr<c10d::Store> store, std::string key)
      : store_(std::move(store)), key_(std::move(key)) {
    beat();
    thread_ = std::jthread([this](const std::stop_token& stop) {
      try {
        while (!stop.stop_requested()) {
          beat();
          std::this_thread::sleep_for(kBeat);
        }
      } catch (const std::exception&) {  // the store is gone, and the next exchange will say so
      }
    });
  }

 private:
  void beat() { store_->set(key_, bytes_of(std::to_string(++count_))); }

  c10::intrusive_ptr<c10d::Store> store_;
  std::string key_;
  int64_t count_ = 0;
  std::jthread thread_;
};

}  // namespace

struct Group::Connection : std::enable_shared_from_this<Group::Connection> {
  int rank, size;
  std::string place;  // "HOST:PORT", for messages
  milliseconds limit = patience();
  c10::intrusive_ptr<c10d::Store> store;
  c10::intrusive_ptr<c10d::ProcessGroupGloo::Options> backend_options;
  at::Device device = at::kCPU;
  c10::intrusive_ptr<c10d::Backend> backend;         // for tensors on the CPU
  c10::intrusive_ptr<c10d::Backend> device_backend;  // for those on the device, if it is another
  c10d::Backend& backend_for(const Tensor& t) const { return t.is_cpu() ? *backend : *device_backend; }
  std::vector<std::string> names;  // of the processes
  std::unique_ptr<Heart> heart;

  explicit Connection(const Launch& launch);
  // Connects all ranks with each other.
  void connect(at::Device device);
  void open_store(const Launch& launch);
  void meet();
  std::string lost_ranks() const;
  // Says which rank is missing after an operation failed.
  [[noreturn]] void fail(const char* operation, const std::exception& cause) const;

  std::string key(const char* what, int r) const { return std::string(what) + "/" + std::to_string(r); }
};

Group::Connection::Connection(const Launch& launch)
    : rank(launch.rank), size(launch.size), place(launch.address + ":" + std::to_string(launch.port)) {
  // c10d writes a stack trace for each attempt to connect; what matters becomes an exception.
  if (std::getenv("TORCH_CPP_LOG_LEVEL") == nullptr) FLAGS_caffe2_log_level = 3;
  open_store(launch);
  try {
    meet();
  } catch (const c10::Error& e) {
    throw RanksLost("rank 0 at " + place +
                    " ended or does not answer (noticed while the ranks met: " + first_line(e) + ")");
  }
  auto options = c10d::ProcessGroupGloo::Options::create(limit);
  const char* interface = std::getenv("GLOO_SOCKET_IFNAME");  // as in PyTorch
  options->devices = {interface != nullptr ? c10d::ProcessGroupGloo::createDeviceForInterface(interface)
                                           : c10d::ProcessGroupGloo::createDeviceForHostname(
                                                 local_address_towards(launch.address, launch.port))};
  backend_options = options;
}

void Group::Connection::connect(at::Device on) {
  device = on;
  try {
    backend = c10::make_intrusive<c10d::ProcessGroupGloo>(
        c10::make_intrusive<c10d::PrefixStore>("gloo", store), rank, size, backend_options);
    if (!device.is_cpu())
      device_backend =
          connect_devices(c10::make_intrusive<c10d::PrefixStore>("nccl", store), rank, size, limit);
  } catch (const UserError&) {
    throw;
  } catch (const std::exception& e) {
    fail("connecting", e);
  }
}

void Group::Connection::open_store(const Launch& launch) {
  const bool listens = rank == 0 && !launch.agent_listens;
  c10d::TCPStoreOptions options;
  options.port = static_cast<uint16_t>(launch.port);
  options.isServer = listens;
  options.waitWorkers = false;
  options.timeout = limit;
  try {
    store = c10::make_intrusive<c10d::PrefixStore>(
        "seednorm" + launch.attempt, c10::make_intrusive<c10d::TCPStore>(launch.address, options));
  } catch (const std::exception& e) {
    const std::string rank_text = "rank " + std::to_string(rank) + " of " + std::to_string(size);
    throw UserError(listens ? rank_text + " cannot listen at port " + std::to_string(launch.port) + " (" +
                                  first_line(e) + "); is it taken? MASTER_PORT chooses another"
                            : rank_text + " does not reach rank 0 at " + place + " (" + first_line(e) + ")");
  }
}

void Group::Connection::meet() {
  if (store->add(key("joined", rank), 1) != 1) {
    throw UserError("rank " + std::to_string(rank) + " of " + std::to_string(size) +
                    " was started twice at " + place + "; each process needs a rank of its own");
  }
  store->set(key("size", rank), bytes_of(std::to_string(size)));
  // A connection of its own, because waiting for a key blocks the other.
  heart = std::make_unique<Heart>(store->clone(), key("alive", rank));
  store->set(key("name", rank), bytes_of(process_name()));
  const Clock::time_point end = Clock::now() + limit;
  for (int r = 0; r < size; ++r) {
    while (!store->check({key("name", r)})) {
      if (Clock::now() > end) {
        throw UserError("waited " + std::to_string(limit.count() / 1000) + " s at " + place + " for rank " +
                        std::to_string(r) + " of " + std::to_string(size) +
                        ", which did not come (SEEDNORM_DIST_TIMEOUT sets the seconds)");
      }
      std::this_thread::sleep_for(milliseconds(20));
    }
    names.push_back(text_of(store->get(key("name", r))));
    const std::string other = text_of(store->get(key("size", r)));
    if (other != std::to_string(size)) {
      throw UserError("rank " + std::to_string(r) + " was started as one of " + other + ", rank " +
                      std::to_string(rank) + " as one of " + std::to_string(size));
    }
  }
}

// The ranks that give no sign of life for a while; empty if all do.
std::string Group::Connection::lost_ranks() const {
  const auto signs = [&] {
    std::vector<std::string> out;
    for (int r = 0; r < size; ++r) out.push_back(text_of(store->get(key("alive", r))));
    return out;
  };
  const std::vector<std::string> before = signs();
  std::this_thread::sleep_for(3 * Heart::kBeat);
  const std::vector<std::string> after = signs();
  std::string lost;
  for (int r = 0; r < size; ++r) {
    if (before[r] == after[r])
      lost += (lost.empty() ? "rank " : ", rank ") + std::to_string(r) + " on " + names[r];
  }
  // The store lives in rank 0 as a rule, and the others need it to find out the same.
  if (rank == 0) std::this_thread::sleep_for(2 * Heart::kBeat);
  return lost;
}

void Group::Connection::fail(const char* operation, const std::exception& cause) const {
  // Asks in a thread of its own, because without a network the store does not answer at all.
  constexpr auto kTime = seconds(6);
  auto answer = std::make_shared<std::promise<std::string> >();
  std::future<std::string> future = answer->get_future();
  std::thread([answer, self = shared_from_this()] {
    try {
      answer->set_value(self->lost_ranks());
    } catch (const std::exception&) {
      answer->set_value("rank 0 on " + self->names[0]);
    }
  }).detach();
  const bool answered = future.wait_for(kTime) == std::future_status::ready;
  const std::string lost = answered ? future.get() : "rank 0 on " + names[0];
  const std::string what = std::string("while ") + operation + ": " + first_line(cause);
  throw RanksLost(lost.empty() ? "the ranks lost each other " + what
                               : lost + " ended or does not answer (noticed " + what + ")");
}

namespace {

template <class Failure>
class PendingWork : public Pending {
 public:
  PendingWork(c10::intrusive_ptr<c10d::Work> work, std::vector<Tensor> tensors, Failure fail)
      : work_(std::move(work)), tensors_(std::move(tensors)), fail_(std::move(fail)) {}
  void wait() override {
    try {
      work_->wait();
    } catch (const std::exception& e) {
      fail_(e);
    }
  }

 private:
  c10::intrusive_ptr<c10d::Work> work_;
  std::vector<Tensor> tensors_;
  Failure fail_;
};

template <class Start, class Failure>
std::unique_ptr<Pending> started(const Start& start, std::vector<Tensor> tensors, Failure fail) {
  try {
    return std::make_unique<PendingWork<Failure> >(start(), std::move(tensors), fail);
  } catch (const std::exception& e) {
    fail(e);
    throw;  // not reached
  }
}

}  // namespace

Group::Group(const Launch& launch, at::Device device)
    : rank_(launch.rank),
      size_(launch.size),
      device_(device),
      connection_(std::make_shared<Connection>(launch)) {
  connection_->connect(device);
}

std::unique_ptr<Pending> Group::exchange(const Tensor& out, const Tensor& in, std::vector<int64_t> out_counts,
                                         std::vector<int64_t> in_counts) const {
  Tensor to = out, from = in;
  return started([&] { return connection_->backend_for(to).alltoall_base(to, from, out_counts, in_counts); },
                 {out, in},
                 [c = connection_.get()](const std::exception& e) { c->fail("exchanging gradients", e); });
}

std::unique_ptr<Pending> Group::start_gather(const Tensor& out, const Tensor& mine) const {
  Tensor to = out.view(-1), from = mine.view(-1);
  return started([&] { return connection_->backend_for(to)._allgather_base(to, from); }, {out, mine},
                 [c = connection_.get()](const std::exception& e) { c->fail("collecting", e); });
}

Tensor Group::gather(const Tensor& mine) const {
  if (size_ == 1) return mine.unsqueeze(0);
  std::vector<int64_t> shape = mine.sizes().vec();
  shape.insert(shape.begin(), size_);
  const Tensor out = at::empty(shape, mine.options());
  if (mine.numel() > 0) start_gather(out, mine)->wait();
  return out;
}

std::vector<std::string> Group::gather(const std::string& mine) const {
  if (size_ == 1) return {mine};
  const Tensor lengths = gather(at::full({1}, static_cast<int64_t>(mine.size()), at::kLong));
  const int64_t longest = lengths.max().item<int64_t>();
  const Tensor bytes = at::zeros({longest}, at::kByte);
  std::memcpy(bytes.data_ptr(), mine.data(), mine.size());
  const Tensor all = gather(bytes);
  std::vector<std::string> out;
  for (int r = 0; r < size_; ++r) {
    out.emplace_back(static_cast<const char*>(all[r].data_ptr()),
                     static_cast<size_t>(lengths[r].item<int64_t>()));
  }
  return out;
}

std::string Group::broadcast(const std::string& of_main) const { return gather(of_main)[0]; }

#endif  // SEEDNORM_HAS_GLOO

}  // namespace seednorm::lab

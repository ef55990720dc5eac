#include "lab/train/checkpoint.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>

#include "lab/base/error.h"
#include "lab/base/file.h"
#include "lab/base/json_field.h"
#include "lab/base/sha256.h"
#include "lab/tensors/safetensors.h"
#include "lab/train/weight_average.h"

namespace seednorm::lab {
namespace {

namespace fs = std::filesystem;
constexpr const char* kStateFile = "trainer.json";
constexpr const char* kOptimizer = "optimizer";  // file names begin with it
constexpr const char* kAverageFile = "average.safetensors";
constexpr int kFormat = 2;
constexpr const char* kOwnSum = "sha256";  // of the state's text without it

// Whether the name is "step-" and digits, and not that of an incomplete checkpoint of a killed process.
bool is_checkpoint_name(const std::string& name) {
  return name.starts_with("step-") && name.size() > 5 &&
         name.find_first_not_of("0123456789", 5) == std::string::npos;
}

// Checkpoints of a run, newest first.
std::vector<fs::path> checkpoints_of(const fs::path& run) {
  std::vector<fs::path> found;
  const fs::path folder = run / "checkpoints";
  if (!fs::is_directory(folder)) return found;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.is_directory() && is_checkpoint_name(entry.path().filename().string()))
      found.push_back(entry.path());
  }
  std::sort(found.rbegin(), found.rend());
  return found;
}

std::string own_sum(nlohmann::json state) {
  state.erase(kOwnSum);
  return sha256_hex(state.dump());
}

nlohmann::json read_state(const fs::path& checkpoint) {
  const fs::path file = checkpoint / kStateFile;
  const nlohmann::json json = parse_json_or_null(read_file(file, size_t{1} << 20));
  if (!json.is_object() || json.value("format", 0) != kFormat || !json.contains("files")) {
    throw UserError(file.string() + ": is not a trainer's state of this version");
  }
  if (json.value(kOwnSum, "") != own_sum(json)) {
    throw UserError(file.string() + ": altered since it was written");
  }
  return json;
}

// The reason why the checkpoint cannot be used; empty if it can be.
std::string damage_of(const fs::path& checkpoint) {
  try {
    const nlohmann::json state = read_state(checkpoint);
    for (const auto& [name, about] : state.at("files").items()) {
      const MappedFile file(checkpoint / name);
      if (file.bytes().size() != about.at("bytes").get<size_t>()) {
        return (checkpoint / name).string() + ": has " + std::to_string(file.bytes().size()) + " bytes of " +
               std::to_string(about.at("bytes").get<size_t>());
      }
      if (sha256_hex(file.bytes()) != about.at("sha256").get<std::string>()) {
        return (checkpoint / name).string() + ": altered since it was written";
      }
    }
    return "";
  } catch (const nlohmann::json::exception&) {
    return (checkpoint / kStateFile).string() + ": not a trainer's state";
  } catch (const UserError& e) {
    return e.what();
  }
}

// Whether all files have the sizes that they were written with. This detects an incomplete checkpoint without
// reading it.
bool has_all_files(const fs::path& checkpoint) {
  try {
    for (const auto& [name, about] : read_state(checkpoint).at("files").items()) {
      std::error_code none;
      if (fs::file_size(checkpoint / name, none) != about.at("bytes").get<uintmax_t>()) return false;
    }
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

// Keeps the checkpoint just written and the intact ones before it, `keep` in all, and removes older ones.
// Newer ones are damaged, since the run was resumed before them; the run replaces them when it reaches their
// steps.
void remove_old(const fs::path& run, const fs::path& written, int64_t keep) {
  int64_t kept = 1;
  for (const fs::path& checkpoint : checkpoints_of(run)) {
    if (checkpoint >= written) continue;
    if (kept >= keep) {
      fs::remove_all(checkpoint);
    } else if (has_all_files(checkpoint)) {
      ++kept;
    }
  }
}

using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

NamedTensors averages_of(const Workload& workload) {
  const WeightAverage* average = workload.weight_average();
  return average == nullptr ? NamedTensors() : average->state();
}

void write_tensors(const fs::path& path, const NamedTensors& named) {
  std::vector<TensorSource> tensors;
  for (const auto& [name, tensor] : named) tensors.push_back(source_of(name, tensor));
  write_safetensors(path, tensors);
}

nlohmann::json sums_of(const fs::path& path) {
  const MappedFile file(path);
  return {{"bytes", file.bytes().size()}, {"sha256", sha256_hex(file.bytes())}};
}

// The file with the rank's part of the optimizer's state.
std::string optimizer_file(const Group& group) {
  if (group.size() == 1) return std::string(kOptimizer) + ".safetensors";
  char text[64];
  std::snprintf(text, sizeof text, "%s-%05d-of-%05d.safetensors", kOptimizer, group.rank(), group.size());
  return text;
}

bool is_whole(const Optimizer::Slot& slot) { return slot.is_step || slot.range.count() == slot.whole; }

// The name of a slot in a file: a part of a parameter is flat and has its place, "NAME@BEGIN".
std::string stored_name(const Optimizer::Slot& slot) {
  return is_whole(slot) ? slot.name : slot.name + "@" + std::to_string(slot.range.begin);
}

void write_slots(const fs::path& path, const Optimizer& optimizer) {
  NamedTensors named;
  for (const Optimizer::Slot& slot : optimizer.state()) named.emplace_back(stored_name(slot), slot.tensor);
  write_tensors(path, named);
}

// Parts of stored tensors by the names of their slots, from the files of all ranks.
struct StoredPart {
  int64_t begin;
  at::Tensor flat;
};
using StoredSlots = std::map<std::string, std::vector<StoredPart>>;

StoredSlots read_slots(const fs::path& checkpoint) {
  StoredSlots out;
  for (const auto& entry : fs::directory_iterator(checkpoint)) {
    const std::string file = entry.path().filename().string();
    if (!file.starts_with(kOptimizer) || !file.ends_with(".safetensors")) continue;
    for (const auto& [name, tensor] : read_safetensors(entry.path())) {
      const size_t at = name.rfind('@');
      const int64_t begin = at == std::string::npos ? 0 : std::atoll(name.c_str() + at + 1);
      out[name.substr(0, at)].push_back({begin, tensor.reshape(-1)});
    }
  }
  return out;
}

// Whether the parts are exactly those of a tensor with `whole` elements.
bool is_complete(std::vector<StoredPart> parts, int64_t whole) {
  std::sort(parts.begin(), parts.end(), [](const auto& a, const auto& b) { return a.begin < b.begin; });
  int64_t end = 0;
  for (const StoredPart& part : parts) {
    if (part.begin != end) return false;
    end += part.flat.numel();
  }
  return end == whole;
}

// Copies what the slot needs. A parameter's number of steps is stored by each rank that has a part of it.
void fill(const Optimizer::Slot& slot, const std::vector<StoredPart>& parts) {
  if (slot.is_step) {
    at::Tensor(slot.tensor).fill_(parts[0].flat[0]);
    return;
  }
  at::Tensor flat = slot.tensor.view(-1);
  for (const StoredPart& part : parts) {
    const int64_t begin = std::max(part.begin, slot.range.begin);
    const int64_t end = std::min(part.begin + part.flat.numel(), slot.range.end);
    if (begin >= end) continue;
    flat.narrow(0, begin - slot.range.begin, end - begin)
        .copy_(part.flat.narrow(0, begin - part.begin, end - begin));
  }
}

[[noreturn]] void refuse_model(const fs::path& checkpoint, const std::string& name) {
  throw UserError(checkpoint.string() + ": is a checkpoint of another model" +
                  (name.empty() ? "" : " (" + name + ")"));
}

// Errors (UserError): the state of other parameters.
void check_slots(const fs::path& checkpoint, const StoredSlots& stored, const Optimizer& optimizer) {
  for (const Optimizer::Slot& slot : optimizer.state()) {
    const auto found = stored.find(slot.name);
    const bool fits = found != stored.end() && (slot.is_step ? found->second[0].flat.numel() == 1
                                                             : is_complete(found->second, slot.whole));
    if (!fits) refuse_model(checkpoint, slot.name);
  }
  if (stored.size() != optimizer.num_slots()) refuse_model(checkpoint, "");
}

// The tensors to copy to `targets`. Errors (UserError): the checkpoint has other tensors than those.
TensorMap read_tensors(const fs::path& checkpoint, const char* file, const NamedTensors& targets) {
  TensorMap stored = read_safetensors(checkpoint / file);
  for (const auto& [name, tensor] : targets) {
    const auto found = stored.find(name);
    if (found == stored.end() || found->second.sizes() != tensor.sizes()) {
      refuse_model(checkpoint, name);
    }
  }
  if (stored.size() != targets.size()) refuse_model(checkpoint, "");
  return stored;
}

}  // namespace

void save_checkpoint(const fs::path& run, const Workload& workload, const Optimizer& optimizer,
                     const TrainerState& state, int64_t keep, const Group& group) {
  char name[32];
  std::snprintf(name, sizeof(name), "step-%08lld", static_cast<long long>(state.step));
  const fs::path target = run / "checkpoints" / name;
  std::optional<NewFolder> folder;  // of rank 0
  group.on_main([&] {
    make_folder(run / "checkpoints");
    if (fs::exists(target) && damage_of(target).empty())
      return;  // the run was resumed and stopped again at once
    fs::remove_all(target);
    folder.emplace(target);
    workload.save(folder->path());
    if (const NamedTensors averages = averages_of(workload); !averages.empty()) {
      write_tensors(folder->path() / kAverageFile, averages);
    }
  });
  const fs::path path = group.broadcast(folder ? folder->path().string() : "");
  if (path.empty()) return;
  nlohmann::json own;
  group.together([&] {
    if (!fs::is_directory(path)) {
      throw UserError(
          path.string() +
          ": is not visible here; the run's folder must be on a file system that all ranks share");
    }
    const std::string file = optimizer_file(group);
    write_slots(path / file, optimizer);
    own[file] = sums_of(path / file);
  });
  const std::vector<std::string> others = group.gather(own.dump());
  group.on_main([&] {
    nlohmann::json json = {{"format", kFormat},
                           {"step", state.step},
                           {"data_fingerprint", state.data_fingerprint},
                           {"metrics_bytes", state.log.metrics},
                           {"events_bytes", state.log.events},
                           {"loss_ema", state.loss_ema},
                           {"seconds", state.seconds},
                           {"micro_rows", state.micro_rows},
                           {"products", state.products},
                           {"files", nlohmann::json::object()}};
    for (const std::string& text : others) json["files"].update(nlohmann::json::parse(text));
    for (const auto& entry : fs::directory_iterator(folder->path())) {
      const std::string file = entry.path().filename().string();
      if (!json["files"].contains(file)) json["files"][file] = sums_of(entry.path());
    }
    json[kOwnSum] = own_sum(json);
    replace_file(folder->path() / kStateFile, json.dump(1) + "\n");
    folder->commit();
    remove_old(run, target, keep);
  });
}

void remove_torn_checkpoints(const fs::path& run) {
  std::error_code none;
  std::vector<fs::path> torn;
  for (const auto& entry : fs::directory_iterator(run / "checkpoints", none)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("step-") && name.find(".partial") != std::string::npos) torn.push_back(entry.path());
  }
  for (const fs::path& path : torn) fs::remove_all(path, none);
}

FoundCheckpoint find_checkpoint(const fs::path& run) {
  FoundCheckpoint found;
  for (const fs::path& checkpoint : checkpoints_of(run)) {
    const std::string damage = damage_of(checkpoint);
    if (damage.empty()) {
      found.path = checkpoint;
      break;
    }
    found.damaged.push_back(damage);
  }
  return found;
}

TrainerState load_checkpoint(const fs::path& checkpoint, Workload& workload, Optimizer& optimizer) {
  const nlohmann::json json = read_state(checkpoint);
  const StoredSlots slots = read_slots(checkpoint);
  check_slots(checkpoint, slots, optimizer);
  const NamedTensors averages = averages_of(workload);
  TensorMap stored_averages;
  if (!averages.empty()) stored_averages = read_tensors(checkpoint, kAverageFile, averages);
  workload.load(checkpoint);
  for (const Optimizer::Slot& slot : optimizer.state()) fill(slot, slots.at(slot.name));
  for (auto [name, tensor] : averages) tensor.copy_(stored_averages.at(name));
  return {.step = json.at("step").get<int64_t>(),
          .data_fingerprint = json.at("data_fingerprint").get<std::string>(),
          .log = {.metrics = json.at("metrics_bytes").get<int64_t>(),
                  .events = json.at("events_bytes").get<int64_t>()},
          .loss_ema = json.at("loss_ema").get<double>(),
          .seconds = json.at("seconds").get<double>(),
          .products = json.value("products", ""),
          .micro_rows = json.value("micro_rows", int64_t{0})};
}

}  // namespace seednorm::lab

#include "lab/train/checkpoint.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>

#include "lab/base/error.h"
#include "lab/base/file.h"
#include "lab/base/sha256.h"
#include "lab/language/interop/model_dir.h"
#include "lab/tensors/safetensors.h"

namespace seednorm::lab {
namespace {

namespace fs = std::filesystem;
constexpr const char* kStateFile = "trainer.json";
constexpr const char* kOptimizerFile = "optimizer.safetensors";
constexpr int kFormat = 2;
constexpr const char* kOwnSum = "sha256";  // of the state's text without it

// Checkpoints of a run, newest first.
std::vector<fs::path> checkpoints_of(const fs::path& run) {
  std::vector<fs::path> found;
  const fs::path folder = run / "checkpoints";
  if (!fs::is_directory(folder)) return found;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.is_directory() && entry.path().filename().string().starts_with("step-"))
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
  const auto json =
      nlohmann::json::parse(read_file(file, size_t{1} << 20), nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || json.value("format", 0) != kFormat || !json.contains("files")) {
    throw UserError(file.string() + ": not a trainer's state of this version");
  }
  if (json.value(kOwnSum, "") != own_sum(json)) {
    throw UserError(file.string() + ": altered since it was written");
  }
  return json;
}

// Why the checkpoint cannot be used; empty if it can.
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

}  // namespace

void save_checkpoint(const fs::path& run, const Model& model, const AdamW& optimizer,
                     const TrainerState& state, const TokenizerInfo& tokenizer, int64_t keep) {
  fs::create_directories(run / "checkpoints");
  char name[32];
  std::snprintf(name, sizeof(name), "step-%08lld", static_cast<long long>(state.step));
  const fs::path target = run / "checkpoints" / name;
  if (fs::exists(target) && damage_of(target).empty())
    return;  // the run was resumed and stopped again at once
  fs::remove_all(target);
  {
    NewFolder folder(target);
    nlohmann::json more = nlohmann::json::object();
    if (tokenizer.eos_id) more["eos_token_id"] = *tokenizer.eos_id;
    write_model(model, folder.path(), at::kFloat, more);
    if (!tokenizer.file.empty()) {
      replace_file(folder.path() / tokenizer.file.filename(), MappedFile(tokenizer.file).bytes());
    }
    std::vector<TensorSource> tensors;
    for (const auto& [tensor_name, tensor] : optimizer.state())
      tensors.push_back(source_of(tensor_name, tensor));
    write_safetensors(folder.path() / kOptimizerFile, tensors);
    nlohmann::json json = {{"format", kFormat},
                           {"step", state.step},
                           {"data_fingerprint", state.data_fingerprint},
                           {"metrics_bytes", state.log.metrics},
                           {"events_bytes", state.log.events},
                           {"loss_ema", state.loss_ema},
                           {"seconds", state.seconds},
                           {"files", nlohmann::json::object()}};
    for (const auto& entry : fs::directory_iterator(folder.path())) {
      const MappedFile file(entry.path());
      json["files"][entry.path().filename().string()] = {{"bytes", file.bytes().size()},
                                                         {"sha256", sha256_hex(file.bytes())}};
    }
    json[kOwnSum] = own_sum(json);
    replace_file(folder.path() / kStateFile, json.dump(1) + "\n");
    folder.commit();
  }
  const std::vector<fs::path> all = checkpoints_of(run);
  for (size_t i = static_cast<size_t>(std::max<int64_t>(keep, 1)); i < all.size(); ++i)
    fs::remove_all(all[i]);
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

TrainerState load_checkpoint(const fs::path& checkpoint, Model& model, AdamW& optimizer) {
  const nlohmann::json json = read_state(checkpoint);
  const TensorMap stored = read_safetensors(checkpoint / kOptimizerFile);
  const auto slots = optimizer.state();
  for (const auto& [name, tensor] : slots) {
    const auto found = stored.find(name);
    if (found == stored.end() || found->second.sizes() != tensor.sizes()) {
      throw UserError(checkpoint.string() + ": a checkpoint of another model (" + name + ")");
    }
  }
  if (stored.size() != slots.size()) throw UserError(checkpoint.string() + ": a checkpoint of another model");
  load_weights(model, checkpoint);
  for (auto [name, tensor] : slots) tensor.copy_(stored.at(name));
  return {.step = json.at("step").get<int64_t>(),
          .data_fingerprint = json.at("data_fingerprint").get<std::string>(),
          .log = {.metrics = json.at("metrics_bytes").get<int64_t>(),
                  .events = json.at("events_bytes").get<int64_t>()},
          .loss_ema = json.at("loss_ema").get<double>(),
          .seconds = json.at("seconds").get<double>()};
}

}  // namespace seednorm::lab

#include "lab/dist/launch.h"

#include <charconv>
#include <cstdlib>

#include "lab/base/error.h"

namespace seednorm::lab {
namespace {

constexpr int kDefaultPort = 29500;  // as torchrun's

// Reads the variables of one launcher.
class Reader {
 public:
  Reader(const Environment& environment, std::string launcher)
      : environment_(environment), launcher_(std::move(launcher)) {}

  bool has(const char* name) const { return environment_(name).has_value(); }

  std::string text(const char* name, const std::string& hint = "") const {
    const auto value = environment_(name);
    if (!value || value->empty()) {
      throw UserError(launcher_ + "'s environment is incomplete: " + name + " is not set" + hint +
                      "; start through the launcher, or unset its other variables to use one process");
    }
    return *value;
  }

  int number(const char* name, int lowest, int highest) const {
    const std::string value = text(name);
    int out = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), out);
    if (error != std::errc() || end != value.data() + value.size() || out < lowest || out > highest) {
      throw UserError(std::string(name) + ": expected a number from " + std::to_string(lowest) + " to " +
                      std::to_string(highest) + ", got " + quote(value));
    }
    return out;
  }
  int number_or(const char* name, int otherwise, int lowest, int highest) const {
    return has(name) ? number(name, lowest, highest) : otherwise;
  }

 private:
  const Environment& environment_;
  std::string launcher_;
};

constexpr int kMaxSize = 1 << 20, kMaxPort = 65535;

void read_ranks(const Reader& read, const char* size, const char* rank, const char* local, Launch* out) {
  out->size = read.number(size, 1, kMaxSize);
  out->rank = read.number(rank, 0, out->size - 1);
  out->local_rank = read.number_or(local, 0, 0, out->size - 1);
}

Launch from_torchrun(const Environment& environment) {
  const Reader read(environment, "torchrun");
  Launch out = {.by = "torchrun"};
  read_ranks(read, "WORLD_SIZE", "RANK", "LOCAL_RANK", &out);
  out.address = read.text("MASTER_ADDR");
  out.port = read.number("MASTER_PORT", 1, kMaxPort);
  out.agent_listens = environment("TORCHELASTIC_USE_AGENT_STORE") == "True";
  out.attempt = environment("TORCHELASTIC_RESTART_COUNT").value_or("");
  return out;
}

// The first host of Slurm's short form: "gpu[07-09,12],login1" -> "gpu07".
std::string first_host(const std::string& list) {
  const size_t open = list.find('['), comma = list.find(',');
  if (open == std::string::npos || comma < open) return list.substr(0, comma);
  return list.substr(0, open) + list.substr(open + 1, list.find_first_of("-,]", open) - open - 1);
}

// Jobs on one machine get different ports.
int port_of_job(const std::optional<std::string>& job, const std::optional<std::string>& step) {
  const long long number = std::atoll(job.value_or("0").c_str()) * 7 + std::atoll(step.value_or("0").c_str());
  return 15000 + static_cast<int>(number % 15000);
}

Launch from_slurm(const Environment& environment) {
  const Reader read(environment, "Slurm");
  Launch out = {.by = "Slurm"};
  read_ranks(read, read.has("SLURM_STEP_NUM_TASKS") ? "SLURM_STEP_NUM_TASKS" : "SLURM_NTASKS", "SLURM_PROCID",
             "SLURM_LOCALID", &out);
  const char* nodes = read.has("SLURM_STEP_NODELIST") ? "SLURM_STEP_NODELIST" : "SLURM_JOB_NODELIST";
  out.address = environment("MASTER_ADDR").value_or("");
  if (out.address.empty()) out.address = first_host(read.text(nodes, " (MASTER_ADDR can replace it)"));
  out.port = read.number_or(
      "MASTER_PORT", port_of_job(environment("SLURM_JOB_ID"), environment("SLURM_STEP_ID")), 1, kMaxPort);
  out.attempt = environment("SLURM_RESTART_COUNT").value_or("");
  return out;
}

Launch from_open_mpi(const Environment& environment) {
  const Reader read(environment, "Open MPI");
  Launch out = {.by = "Open MPI"};
  read_ranks(read, "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_LOCAL_RANK", &out);
  const bool one_machine = read.number_or("OMPI_COMM_WORLD_LOCAL_SIZE", 0, 0, kMaxSize) == out.size;
  out.address = environment("MASTER_ADDR").value_or(one_machine ? "127.0.0.1" : "");
  if (out.address.empty()) {
    out.address = read.text("MASTER_ADDR", " (mpirun -x MASTER_ADDR=HOST-OF-RANK-0 passes it on)");
  }
  out.port = read.number_or("MASTER_PORT", kDefaultPort, 1, kMaxPort);
  return out;
}

}  // namespace

Environment process_environment() {
  return [](const char* name) -> std::optional<std::string> {
    const char* value = std::getenv(name);
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
  };
}

std::optional<Launch> launch_from(const Environment& environment) {
  const auto has = [&](const char* name) { return environment(name).has_value(); };
  std::optional<Launch> out;
  if (has("RANK") || has("WORLD_SIZE")) {
    out = from_torchrun(environment);
  } else if (has("SLURM_STEP_ID") && has("SLURM_PROCID")) {  // a job script itself has no step
    out = from_slurm(environment);
  } else if (has("OMPI_COMM_WORLD_RANK") || has("OMPI_COMM_WORLD_SIZE")) {
    out = from_open_mpi(environment);
  }
  if (out && out->size == 1) return std::nullopt;
  return out;
}

}  // namespace seednorm::lab

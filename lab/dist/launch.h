// Which of several processes this one is, according to the launcher that started it.
#ifndef SEEDNORM_LAB_DIST_LAUNCH_H_
#define SEEDNORM_LAB_DIST_LAUNCH_H_

#include <functional>
#include <optional>
#include <string>

namespace seednorm::lab {

struct Launch {
  std::string by;  // the launcher: "torchrun", "Slurm", "Open MPI"
  int rank = 0, size = 1;
  int local_rank = 0;   // among the processes of this machine; the number of the GPU
  std::string address;  // where rank 0 listens
  int port = 0;
  bool agent_listens = false;  // the launcher itself listens there, and rank 0 is a client like the others
  std::string attempt;         // differs after each restart by the launcher
};

// The value of a variable of the environment.
using Environment = std::function<std::optional<std::string>(const char* name)>;
Environment process_environment();

// Reads the variables of torchrun (RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT), of Slurm's srun
// (SLURM_PROCID, ...) or of Open MPI's mpirun (OMPI_COMM_WORLD_RANK, ...), in this order. MASTER_ADDR and
// MASTER_PORT take precedence over what is derived from the launcher's own. Nothing for a process that is
// alone. Errors (UserError): some of a launcher's variables are missing or are not numbers that fit together.
std::optional<Launch> launch_from(const Environment& environment);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_DIST_LAUNCH_H_

// The machine and the program, for whoever wants to compare times.
#ifndef SEEDNORM_LAB_BASE_MACHINE_H_
#define SEEDNORM_LAB_BASE_MACHINE_H_

#include <nlohmann/json.hpp>

namespace seednorm::lab {

// {"cpu", "cores", "memory_gib", "os", "kernel", "compiler"}; what cannot be found out is left out.
nlohmann::ordered_json machine();

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_BASE_MACHINE_H_

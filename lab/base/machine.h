// The machine and the program, for whoever wants to compare times.
#ifndef SEEDNORM_LAB_BASE_MACHINE_H_
#define SEEDNORM_LAB_BASE_MACHINE_H_

#include <nlohmann/json.hpp>
#include <string>

namespace seednorm::lab {

// {"cpu", "cores", "memory_gib", "os", "kernel", "compiler"}; what cannot be found out is left out.
nlohmann::ordered_json machine();

// Errors (UserError): `bytes` for `what` are more than this machine's memory.
void refuse_more_than_memory(double bytes, const std::string& what);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_BASE_MACHINE_H_

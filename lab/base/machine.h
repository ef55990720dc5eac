// A description of the machine and the program, without which times cannot be compared.
#ifndef SEEDNORM_LAB_BASE_MACHINE_H_
#define SEEDNORM_LAB_BASE_MACHINE_H_

#include <nlohmann/json.hpp>
#include <string>

namespace seednorm::lab {

// {"cpu", "cores", "memory_gib", "os", "kernel", "compiler"}; unknown members are left out.
nlohmann::ordered_json machine();

// Throws UserError if `bytes`, which `what` needs, exceed this machine's memory.
void refuse_more_than_memory(double bytes, const std::string& what);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_BASE_MACHINE_H_

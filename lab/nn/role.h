// The purpose of a parameter, which decides its weight decay and its initial values.
#ifndef SEEDNORM_LAB_NN_ROLE_H_
#define SEEDNORM_LAB_NN_ROLE_H_

#include <string>

namespace seednorm::lab {

enum class Role {
  kMatrix,     // decayed; normal initial values
  kEmbedding,  // of words; positions and class tokens of pictures: decayed if the recipe says so; normal values
  kGain,  // gammas, biases and slopes of norms, other biases: decayed if the recipe says so; set by the layer
  kDynamic,  // SeeDNorm's alpha and beta, the dynamic part of Frac-Connections: decayed unless the recipe says
             // otherwise; set by the layer
  kStatic,   // the static part of Frac-Connections: never decayed; set by the layer
};
inline const char* name_of(Role role) {
  constexpr const char* kNames[] = {"matrix", "embedding", "gain", "dynamic", "static"};
  return kNames[static_cast<int>(role)];
}

// Base of every module with parameters of its own.
class HasRoles {
 public:
  virtual ~HasRoles() = default;
  // The role of this module's own parameter `name`.
  virtual Role role(const std::string& name) const = 0;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_NN_ROLE_H_

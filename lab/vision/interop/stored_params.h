// Parameters under the names that another library's files give them.
#ifndef SEEDNORM_LAB_VISION_INTEROP_STORED_PARAMS_H_
#define SEEDNORM_LAB_VISION_INTEROP_STORED_PARAMS_H_

#include <functional>
#include <string>
#include <vector>

#include "lab/nn/param_info.h"
#include "lab/tensors/safetensors.h"

namespace seednorm::lab {

// The names of a parameter's tensors in a file. Several are its parts in the first dimension, one behind the
// other: queries, keys and values.
using StoredNames = std::function<std::vector<std::string>(const std::string& param)>;

// Copies the tensors of a file to the parameters; nothing is changed when it throws. `place` is the file's
// name for errors, and `ignored` names tensors that are no parameters. Errors (UserError): a tensor that is
// missing, that the model does not have, whose shape is another, or that has no floating-point numbers.
void load_stored(const TensorMap& stored, const std::vector<ParamInfo>& params, const StoredNames& names,
                 const std::function<bool(const std::string& tensor)>& ignored, const std::string& place);

// The parameters as tensors to be written.
std::vector<TensorSource> stored_sources(const std::vector<ParamInfo>& params, const StoredNames& names);

// "blocks.3.attn.qkv.weight" with prefix "blocks." is {"3", "attn.qkv.weight"}; {} with another prefix.
struct BlockParam {
  std::string index, rest;
};
BlockParam block_param(const std::string& param, const std::string& prefix);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_INTEROP_STORED_PARAMS_H_

// Tensors in safetensors files.
#ifndef SEEDNORM_LAB_TENSORS_SAFETENSORS_H_
#define SEEDNORM_LAB_TENSORS_SAFETENSORS_H_

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace seednorm::lab {

using TensorMap = std::map<std::string, at::Tensor>;

// A file's tensors, mapped and not read: writing to one ends the program. The mapping lives as long as any of
// them. Errors (UserError): see parse_safetensors, and names and shapes never disagree with what is in the
// file.
TensorMap read_safetensors(const std::filesystem::path& path);

// The tensors of a model directory: model.safetensors, or the shards that model.safetensors.index.json lists.
// Errors (UserError): as above; neither is there; index and shards do not have the same tensors, each once.
TensorMap read_model_tensors(const std::filesystem::path& folder);

// The tensors, which are consecutive in one file, as one of shape [n, ...] without a copy; undefined if they
// are not. All have the same shape and dtype.
at::Tensor stacked_view(const std::vector<at::Tensor>& tensors);

// Lets the system take back the memory that a mapped tensor was read into. It will be read again when it is
// needed.
void forget_pages(const at::Tensor& mapped);

// A tensor to be written. It is made when its turn comes, so that converted copies do not pile up.
struct TensorSource {
  std::string name;
  at::ScalarType dtype;
  std::vector<int64_t> shape;
  std::function<at::Tensor()> make;  // of this dtype and shape, on any device
};
TensorSource source_of(std::string name, at::Tensor tensor);

// Writes to a temporary name in the same folder, syncs, and renames: `path` has the old content or the new.
// Tensors lie in the order given. Errors (std::invalid_argument): a dtype that has no name there, a name
// twice. (std::runtime_error): the disk.
void write_safetensors(const std::filesystem::path& path, const std::vector<TensorSource>& tensors);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_TENSORS_SAFETENSORS_H_

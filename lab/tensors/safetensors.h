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

// The tensors of a file, mapped into memory. Writing to one ends the program. The mapping lives as long as
// any of the tensors. Errors (UserError): see parse_safetensors, which guarantees that names and shapes agree
// with the content of the file.
TensorMap read_safetensors(const std::filesystem::path& path);

// The tensors of a model directory: model.safetensors, or the shards that model.safetensors.index.json lists.
// Errors (UserError): as above; neither file exists; index and shards do not have the same tensors, each
// once.
TensorMap read_model_tensors(const std::filesystem::path& folder);

// Tensors of the same shape and dtype as one tensor of shape [n, ...], without a copy. Undefined if the
// tensors are not consecutive in one file.
at::Tensor stacked_view(const std::vector<at::Tensor>& tensors);

// Lets the system reclaim the memory of a mapped tensor, which is read again when it is needed.
void forget_pages(const at::Tensor& mapped);

// "[2, 3]", for messages.
std::string shape_text(at::IntArrayRef shape);

// A tensor to be written. It is created when its turn comes, so that converted copies do not accumulate.
struct TensorSource {
  std::string name;
  at::ScalarType dtype;
  std::vector<int64_t> shape;
  std::function<at::Tensor()> make;  // of this dtype and shape, on any device
};
TensorSource source_of(std::string name, at::Tensor tensor);

// Writes to a temporary name in the same folder, syncs, and renames, so that `path` has either the old or the
// new content. The file has the tensors in the given order. Errors (std::invalid_argument): a dtype that the
// format does not have, or a duplicate name. (std::runtime_error): the disk.
void write_safetensors(const std::filesystem::path& path, const std::vector<TensorSource>& tensors);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_TENSORS_SAFETENSORS_H_

// Parses the header of a safetensors file. Without libtorch.
//
//   8 bytes, little endian: N | N bytes of JSON | the tensors' bytes, one after the other
//   JSON: {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ..., "__metadata__": {...}}
#ifndef SEEDNORM_LAB_TENSORS_SAFETENSORS_HEADER_H_
#define SEEDNORM_LAB_TENSORS_SAFETENSORS_HEADER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace seednorm::lab {

struct StoredTensor {
  std::string name;
  std::string dtype;  // of kStoredDtypes
  std::vector<int64_t> shape;
  size_t offset = 0;  // from the start of the file
  size_t bytes = 0;   // product of shape times size of dtype
};

struct StoredDtype {
  std::string_view name;
  size_t bytes;
};
constexpr StoredDtype kStoredDtypes[] = {{"F64", 8}, {"F32", 4}, {"F16", 2}, {"BF16", 2}, {"I64", 8},
                                         {"I32", 4}, {"I16", 2}, {"I8", 1},  {"U8", 1}};

// Enough for a hundred thousand tensors. A hostile header can make us allocate only a small multiple of it.
constexpr size_t kMaxHeaderBytes = size_t{16} << 20;
constexpr size_t kMaxDims = 8;
constexpr size_t kMaxNameBytes = 1000;

// The tensors of a file whose content is `file`, in the order of their bytes. Tensors fill what follows the
// header without gap or overlap, so that a truncated or extended file is noticed. Errors (UserError, "NAME:
// tensor: what is wrong"): anything else. Any bytes are safe.
std::vector<StoredTensor> parse_safetensors(std::string_view file, const std::string& name);

// Throws UserError for a name that would garble messages: too long, or with quotes or control characters.
void check_printable(std::string_view tensor, const std::string& file);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_TENSORS_SAFETENSORS_HEADER_H_

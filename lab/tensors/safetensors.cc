#include "lab/tensors/safetensors.h"

#include <ATen/Functions.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string_view>

#include "lab/base/atomic_file.h"
#include "lab/base/error.h"
#include "lab/base/file.h"
#include "lab/base/json_field.h"
#include "lab/tensors/safetensors_header.h"
#include "lab/tensors/strict_json.h"

namespace seednorm::lab {
namespace fs = std::filesystem;
namespace {

using at::Tensor;

constexpr size_t kMaxIndexBytes = size_t{64} << 20;
constexpr size_t kPieceBytes = size_t{1} << 20;  // written at a time

// In the order of kStoredDtypes.
constexpr at::ScalarType kScalarTypes[] = {at::kDouble, at::kFloat, at::kHalf, at::kBFloat16, at::kLong,
                                           at::kInt,    at::kShort, at::kChar, at::kByte};
static_assert(std::size(kScalarTypes) == std::size(kStoredDtypes));

at::ScalarType scalar_type(std::string_view dtype) {
  size_t i = 0;
  while (kStoredDtypes[i].name != dtype) ++i;
  return kScalarTypes[i];
}

const StoredDtype& stored_dtype(at::ScalarType type) {
  const auto* found = std::find(std::begin(kScalarTypes), std::end(kScalarTypes), type);
  if (found == std::end(kScalarTypes)) {
    throw std::invalid_argument(std::string("safetensors: no dtype for ") + at::toString(type));
  }
  return kStoredDtypes[found - kScalarTypes];
}

// Does not copy if the bytes are aligned, as they are in files of the common writers.
Tensor view_of(const StoredTensor& stored, const std::shared_ptr<MappedFile>& file) {
  const auto options = at::TensorOptions(scalar_type(stored.dtype));
  char* const data = const_cast<char*>(file->bytes().data()) + stored.offset;
  if (reinterpret_cast<uintptr_t>(data) % options.dtype().itemsize() == 0 && stored.bytes > 0) {
    return at::from_blob(
        data, stored.shape, [file](void*) {}, options);
  }
  Tensor copy = at::empty(stored.shape, options);
  if (stored.bytes > 0) std::memcpy(copy.data_ptr(), data, stored.bytes);
  return copy;
}

// {"weight_map": {tensor: file}, ...} -> file: its tensors.
std::map<std::string, std::vector<std::string>> read_index(const fs::path& path) {
  const nlohmann::json json = parse_strict_json(read_file(path, kMaxIndexBytes), path.string(), 4);
  const JsonField map = JsonField(json, path.string())["weight_map"];
  std::map<std::string, std::vector<std::string>> files;
  for (const auto& [tensor, value] : map.object().items()) {
    check_printable(tensor, path.string());
    const std::string& file = map[tensor].string();
    if (file.empty() || fs::path(file).filename() != file || file == "." || file == "..") {
      map[tensor].fail("expected the name of a file in this folder, got " + quote(file));
    }
    files[file].push_back(tensor);
  }
  return files;
}

std::string header_of(const std::vector<TensorSource>& tensors) {
  nlohmann::json header = {{"__metadata__", {{"format", "pt"}}}};
  size_t offset = 0;
  for (const TensorSource& t : tensors) {
    const StoredDtype& dtype = stored_dtype(t.dtype);
    size_t bytes = dtype.bytes;
    for (const int64_t dim : t.shape) bytes *= static_cast<size_t>(dim);
    if (header.contains(t.name)) throw std::invalid_argument("safetensors: " + t.name + " twice");
    header[t.name] = {{"dtype", dtype.name}, {"shape", t.shape}, {"data_offsets", {offset, offset + bytes}}};
    offset += bytes;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');  // the first tensor is aligned
  std::string out;
  for (size_t i = 0; i < 8; ++i) out += static_cast<char>(static_cast<uint64_t>(text.size()) >> (8 * i));
  return out + text;
}

}  // namespace

TensorMap read_safetensors(const fs::path& path) {
  const auto file = std::make_shared<MappedFile>(path);
  TensorMap out;
  for (const StoredTensor& t : parse_safetensors(file->bytes(), path.string())) {
    out.emplace(t.name, view_of(t, file));
  }
  return out;
}

TensorMap read_model_tensors(const fs::path& folder) {
  const fs::path single = folder / "model.safetensors", index = folder / "model.safetensors.index.json";
  if (fs::exists(single)) return read_safetensors(single);
  if (!fs::exists(index)) {
    throw UserError(folder.string() + ": has neither model.safetensors nor model.safetensors.index.json");
  }
  TensorMap out;
  for (const auto& [file, names] : read_index(index)) {
    TensorMap shard = read_safetensors(folder / file);
    for (const std::string& name : names) {
      if (!shard.contains(name)) {
        throw UserError((folder / file).string() + ": has no tensor " + quote(name) +
                        ", which the index puts there");
      }
    }
    if (shard.size() != names.size()) {
      const auto other = std::find_if(shard.begin(), shard.end(), [&names = names](const auto& t) {
        return std::find(names.begin(), names.end(), t.first) == names.end();
      });
      throw UserError((folder / file).string() + ": has the tensor " + quote(other->first) +
                      ", which the index does not put there");
    }
    out.merge(shard);
  }
  return out;
}

Tensor stacked_view(const std::vector<Tensor>& tensors) {
  const size_t bytes = tensors[0].nbytes();
  for (size_t i = 1; i < tensors.size(); ++i) {
    if (static_cast<const char*>(tensors[i].const_data_ptr()) !=
        static_cast<const char*>(tensors[0].const_data_ptr()) + i * bytes) {
      return {};
    }
  }
  std::vector<int64_t> shape = tensors[0].sizes().vec();
  shape.insert(shape.begin(), static_cast<int64_t>(tensors.size()));
  return at::from_blob(
      tensors[0].data_ptr(), shape, [tensors](void*) {}, tensors[0].options());
}

void forget_pages(const Tensor& mapped) {
  if (mapped.storage().resizable())
    return;  // of libtorch's own memory, a copy of bytes that were not aligned
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = (reinterpret_cast<uintptr_t>(mapped.const_data_ptr()) + page - 1) / page * page;
  const auto end = (reinterpret_cast<uintptr_t>(mapped.const_data_ptr()) + mapped.nbytes()) / page * page;
  if (begin < end) ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

std::string shape_text(at::IntArrayRef shape) {
  std::string out = "[";
  for (size_t i = 0; i < shape.size(); ++i) out += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  return out + "]";
}

TensorSource source_of(std::string name, Tensor tensor) {
  return {std::move(name), tensor.scalar_type(), tensor.sizes().vec(), [tensor] { return tensor; }};
}

void write_safetensors(const fs::path& path, const std::vector<TensorSource>& tensors) {
  AtomicFile file(path);
  file.write(header_of(tensors));
  for (const TensorSource& source : tensors) {
    const Tensor tensor = source.make().detach().cpu().contiguous();
    if (tensor.scalar_type() != source.dtype || tensor.sizes() != source.shape) {
      throw std::invalid_argument("safetensors: " + source.name + " is not what was announced");
    }
    const std::string_view bytes(static_cast<const char*>(tensor.const_data_ptr()), tensor.nbytes());
    for (size_t done = 0; done < bytes.size(); done += kPieceBytes)
      file.write(bytes.substr(done, kPieceBytes));
  }
  file.commit();
}

}  // namespace seednorm::lab

#include "lab/tensors/safetensors_header.h"

#include <algorithm>

#include "lab/base/error.h"
#include "lab/base/json_field.h"
#include "lab/tensors/strict_json.h"

namespace seednorm::lab {
namespace {

constexpr size_t kLengthBytes = 8;
constexpr int kMaxDepth = 3;  // the file, a tensor, its shape

size_t header_bytes(std::string_view file, const std::string& name) {
  if (file.size() < kLengthBytes) {
    throw UserError(name + ": is no safetensors file: it has " + std::to_string(file.size()) + " bytes");
  }
  uint64_t length = 0;
  for (size_t i = 0; i < kLengthBytes; ++i) {
    length |= static_cast<uint64_t>(static_cast<unsigned char>(file[i])) << (8 * i);
  }
  if (length > kMaxHeaderBytes) {
    throw UserError(name + ": header length: " + std::to_string(length) + " bytes, at most " +
                    std::to_string(kMaxHeaderBytes) + " are expected; this is no safetensors file");
  }
  if (length > file.size() - kLengthBytes) {
    throw UserError(name + ": the file ends inside its header: it has " + std::to_string(file.size()) +
                    " of " + std::to_string(kLengthBytes + length) + " bytes");
  }
  return length;
}

size_t element_bytes(const JsonField& dtype) {
  std::string known;
  for (const StoredDtype& d : kStoredDtypes) {
    if (dtype.string() == d.name) return d.bytes;
    known += (known.empty() ? "" : ", ") + std::string(d.name);
  }
  dtype.fail(quote(dtype.string()) + " is not supported; " + known + " are");
}

StoredTensor tensor_of(const std::string& name, const JsonField& field, size_t data, size_t data_bytes) {
  StoredTensor out{.name = name, .dtype = field["dtype"].string()};
  const auto element = static_cast<int64_t>(element_bytes(field["dtype"]));
  const JsonField shape = field["shape"], offsets = field["data_offsets"];
  if (shape.array().size() > kMaxDims) shape.fail("more than " + std::to_string(kMaxDims) + " dimensions");
  // Dimensions of 0 must not hide the others, since strides are products of them.
  int64_t bytes = element, product = element;
  for (size_t i = 0; i < shape.size(); ++i) {
    const int64_t dim = shape[i].integer(0, INT64_MAX);
    if (__builtin_mul_overflow(product, std::max<int64_t>(dim, 1), &product))
      shape.fail("is too large for any memory");
    bytes *= dim;  // at most product
    out.shape.push_back(dim);
  }
  if (offsets.array().size() != 2) offsets.fail("expected two numbers, begin and end");
  const int64_t begin = offsets[0].integer(0, INT64_MAX), end = offsets[1].integer(0, INT64_MAX);
  if (end < begin) offsets.fail("the end is before the beginning");
  if (static_cast<uint64_t>(end) > data_bytes) {
    offsets.fail("the end is byte " + std::to_string(end) + ", but the file has only " +
                 std::to_string(data_bytes) + " bytes of tensors; it may be cut off");
  }
  if (end - begin != bytes) {
    offsets.fail(std::to_string(end - begin) + " bytes, but shape and dtype make " + std::to_string(bytes));
  }
  out.offset = data + static_cast<size_t>(begin);
  out.bytes = static_cast<size_t>(bytes);
  return out;
}

// `tensors` are sorted by offset.
void check_filled(const std::vector<StoredTensor>& tensors, size_t data, size_t file_bytes,
                  const std::string& name) {
  size_t expected = data;
  for (const StoredTensor& t : tensors) {
    if (t.offset != expected) {
      throw UserError(name + ": " + quote(t.name) + ": data_offsets: " +
                      (t.offset < expected ? "overlap another tensor's" : "leave a gap before them"));
    }
    expected += t.bytes;
  }
  if (expected != file_bytes) {
    throw UserError(name + ": " + std::to_string(file_bytes - expected) +
                    " bytes at the end belong to no tensor");
  }
}

}  // namespace

void check_printable(std::string_view tensor, const std::string& file) {
  const std::string quoted = quote(tensor, kMaxNameBytes);
  if (std::string_view(quoted).substr(1, quoted.size() - 2) != tensor) {
    throw UserError(file + ": " + quote(tensor) + " is no name of a tensor");
  }
}

std::vector<StoredTensor> parse_safetensors(std::string_view file, const std::string& name) {
  const size_t header = header_bytes(file, name), data = kLengthBytes + header;
  const nlohmann::json json =
      parse_strict_json(file.substr(kLengthBytes, header), name + ": header", kMaxDepth);
  const JsonField root(json, name);
  std::vector<StoredTensor> tensors;
  for (const auto& [key, value] : root.object().items()) {
    if (key == "__metadata__") {
      (void)root[key].object();
      continue;
    }
    check_printable(key, name);
    tensors.push_back(tensor_of(key, root[key], data, file.size() - data));
  }
  std::stable_sort(tensors.begin(), tensors.end(), [](const StoredTensor& a, const StoredTensor& b) {
    // An empty tensor comes before a tensor that starts at the same offset.
    return a.offset != b.offset ? a.offset < b.offset : a.bytes < b.bytes;
  });
  check_filled(tensors, data, file.size(), name);
  return tensors;
}

}  // namespace seednorm::lab

#include "lab/vision/interop/stored_params.h"

#include <ATen/Functions.h>

#include <set>

#include "lab/base/error.h"

namespace seednorm::lab {
namespace {

using at::Tensor;

}  // namespace

void load_stored(const TensorMap& stored, const std::vector<ParamInfo>& params, const StoredNames& names,
                 const std::function<bool(const std::string&)>& ignored, const std::string& place) {
  const auto fail = [&](const std::string& name, const std::string& what) {
    throw UserError(place + ": tensor " + quote(name, 200) + ": " + what);
  };
  std::set<std::string> used;
  for (const ParamInfo& p : params) {
    const std::vector<std::string> parts = names(p.name);
    std::vector<int64_t> shape = p.tensor.sizes().vec();
    if (!shape.empty()) shape[0] /= static_cast<int64_t>(parts.size());
    for (const std::string& name : parts) {
      const auto found = stored.find(name);
      if (found == stored.end()) fail(name, "is missing");
      if (found->second.sizes() != at::IntArrayRef(shape)) {
        fail(name, "its shape is " + shape_text(found->second.sizes()) + ", that of config.json's model " +
                       shape_text(shape));
      }
      if (!at::isFloatingType(found->second.scalar_type())) {
        fail(name, std::string("its dtype is ") + at::toString(found->second.scalar_type()) +
                       "; expected floating-point numbers");
      }
      used.insert(name);
    }
  }
  for (const auto& [name, tensor] : stored) {
    if (!used.contains(name) && !ignored(name)) fail(name, "config.json's model has no such tensor");
  }
  const at::NoGradGuard no_grad;
  for (const ParamInfo& p : params) {
    const std::vector<std::string> parts = names(p.name);
    const std::vector<Tensor> targets = Tensor(p.tensor).chunk(static_cast<int64_t>(parts.size()), 0);
    for (size_t i = 0; i < parts.size(); ++i) Tensor(targets[i]).copy_(stored.at(parts[i]));
  }
}

std::vector<TensorSource> stored_sources(const std::vector<ParamInfo>& params, const StoredNames& names) {
  std::vector<TensorSource> out;
  for (const ParamInfo& p : params) {
    const std::vector<std::string> parts = names(p.name);
    const std::vector<Tensor> tensors = p.tensor.detach().chunk(static_cast<int64_t>(parts.size()), 0);
    for (size_t i = 0; i < parts.size(); ++i) out.push_back(source_of(parts[i], tensors[i]));
  }
  return out;
}

BlockParam block_param(const std::string& param, const std::string& prefix) {
  if (!param.starts_with(prefix)) return {};
  const size_t dot = param.find('.', prefix.size());
  return {param.substr(prefix.size(), dot - prefix.size()), param.substr(dot + 1)};
}

}  // namespace seednorm::lab

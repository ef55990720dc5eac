#include "lab/language/interop/model_dir.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <stdexcept>

#include "lab/base/error.h"
#include "lab/base/file.h"
#include "lab/language/interop/hf_config.h"

namespace seednorm::lab {
namespace fs = std::filesystem;
namespace {

using at::Tensor;

constexpr const char* kEmbedding = "model.embed_tokens.weight";
constexpr const char* kHead = "lm_head.weight";

// The tensors of a folder, each of which is used once.
class Source {
 public:
  // Further errors (UserError): experts that are stacked in one tensor, as in transformers 5's memory.
  explicit Source(const fs::path& folder) : folder_(folder.string()), tensors_(read_model_tensors(folder)) {
    std::vector<std::string> stacked;
    for (const char* end : {".mlp.experts.gate_up_proj", ".mlp.experts.down_proj"}) {
      for (const auto& [name, tensor] : tensors_) {
        if (name.ends_with(end)) stacked.push_back(name);
      }
    }
    if (!stacked.empty()) {
      fail_with(
          stacked,
          "have all experts in one; save the model by save_pretrained(), which writes each expert's own "
          "tensors");
    }
  }

  // Errors (UserError): the tensor is missing, has another shape, or a dtype that models do not have.
  Tensor take(const std::string& name, at::IntArrayRef shape) {
    const Tensor tensor = peek(name, shape);
    tensors_.erase(name);
    return tensor;
  }
  const Tensor& peek(const std::string& name, at::IntArrayRef shape) const {
    const auto found = tensors_.find(name);
    if (found == tensors_.end()) fail(name, "is missing");
    const Tensor& tensor = found->second;
    if (tensor.sizes() != shape) {
      fail(name, "its shape is " + shape_text(tensor.sizes()) + ", that of config.json's model " +
                     shape_text(shape));
    }
    const at::ScalarType type = tensor.scalar_type();
    if (type != at::kFloat && type != at::kBFloat16 && type != at::kHalf) {
      fail(name, std::string("its dtype is ") + at::toString(type) + "; F32, BF16 and F16 are supported");
    }
    return tensor;
  }
  bool has(const std::string& name) const { return tensors_.contains(name); }
  size_t size() const { return tensors_.size(); }
  // Errors (UserError): some of these are missing; the message counts all of them.
  void check_has(const std::vector<std::string>& names) const {
    std::vector<std::string> missing;
    for (const std::string& name : names) {
      if (!has(name)) missing.push_back(name);
    }
    if (missing.size() == 1) fail(missing[0], "is missing");
    if (!missing.empty()) fail_with(missing, "are missing");
  }
  // Errors (UserError): tensors are left.
  void check_empty() const {
    std::vector<std::string> left;
    for (const auto& [name, tensor] : tensors_) left.push_back(name);
    if (left.size() == 1) fail(left[0], "config.json's model has no such tensor");
    if (!left.empty()) fail_with(left, "are not in config.json's model");
  }
  [[noreturn]] void fail(const std::string& name, const std::string& what) const {
    throw UserError(folder_ + ": tensor " + quote(name, 200) + ": " + what);
  }

 private:
  [[noreturn]] void fail_with(const std::vector<std::string>& names, const std::string& what) const {
    constexpr size_t kShown = 4;
    std::string list;
    for (size_t i = 0; i < std::min(names.size(), kShown); ++i)
      list += (i == 0 ? " " : ", ") + quote(names[i], 200);
    if (names.size() > kShown) list += ", ...";
    throw UserError(folder_ + ": " + std::to_string(names.size()) + " tensors " + what + ":" + list);
  }

  std::string folder_;
  TensorMap tensors_;
};

// Checked before memory is allocated for a model whose config.json disagrees with its tensors.
void check_sizes(const ModelConfig& c, const Source& source) {
  const std::string first = "model.layers.0.",
                    last = "model.layers." + std::to_string(c.num_layers - 1) + ".";
  source.peek(kEmbedding, {c.vocab_size, c.dim});
  source.peek(last + "self_attn.o_proj.weight", {c.dim, c.dim});
  if (static_cast<size_t>(c.num_layers) > source.size()) source.fail(first, "config.json has more layers");
  if (c.num_experts == 0) {
    source.peek(first + "mlp.gate_proj.weight", {c.ffn_dim, c.dim});
  } else {
    source.peek(first + "mlp.gate.weight", {c.num_experts, c.dim});
    source.peek(first + "mlp.experts.0.gate_proj.weight", {c.ffn_dim, c.dim});
  }
}

// A parameter and its stored form: one tensor, or the tensors of a stack.
struct Loaded {
  ParamInfo param;
  std::vector<Tensor> pieces;
};

bool is_stack(const ParamInfo& p, const std::vector<std::string>& names) { return names[0] != p.name; }

std::vector<Loaded> match(const Model& model, Source& source) {
  std::vector<Loaded> out;
  std::vector<std::string> all;
  for (const ParamInfo& p : model.params()) {
    for (std::string& name : stored_names(p)) all.push_back(std::move(name));
  }
  source.check_has(all);
  for (const ParamInfo& p : model.params()) {
    const std::vector<std::string> names = stored_names(p);
    Loaded loaded = {p, {}};
    for (const std::string& name : names) {
      loaded.pieces.push_back(
          source.take(name, is_stack(p, names) ? p.tensor.sizes().slice(1) : p.tensor.sizes()));
      if (loaded.pieces[0].scalar_type() != loaded.pieces.back().scalar_type()) {
        source.fail(name, "its dtype is not that of the other experts");
      }
    }
    // Some writers store a tied head too.
    if (p.name == kEmbedding && model.config().tied && source.has(kHead) &&
        !at::equal(source.take(kHead, p.tensor.sizes()), loaded.pieces[0])) {
      source.fail(kHead, "differs from the embedding, but tie_word_embeddings is true");
    }
    out.push_back(std::move(loaded));
  }
  source.check_empty();
  return out;
}

void copy_pieces(const Loaded& from, const Tensor& to) {
  const bool stack = to.dim() > from.pieces[0].dim();
  for (size_t i = 0; i < from.pieces.size(); ++i) {
    (stack ? to[static_cast<int64_t>(i)] : to).copy_(from.pieces[i]);
    forget_pages(from.pieces[i]);
  }
}

Tensor as_stored(const Loaded& loaded) {
  const Tensor& param = loaded.param.tensor;
  if (param.dim() == loaded.pieces[0].dim()) return loaded.pieces[0];
  if (const Tensor view = stacked_view(loaded.pieces); view.defined()) return view;
  const Tensor copy = at::empty(param.sizes(), loaded.pieces[0].options());
  copy_pieces(loaded, copy);
  return copy;
}

void set_weights(Model& model, Source& source, Weights weights) {
  const at::NoGradGuard no_grad;
  for (const Loaded& loaded : match(model, source)) {
    Tensor param = loaded.param.tensor;
    const bool large = loaded.param.role == Role::kMatrix || loaded.param.role == Role::kEmbedding;
    if (weights == Weights::kStored && large) {
      param.set_data(as_stored(loaded));
    } else {
      copy_pieces(loaded, param);
    }
    if (weights == Weights::kStored) param.set_requires_grad(false);
  }
}

}  // namespace

std::vector<std::string> stored_names(const ParamInfo& param) {
  const size_t dot = param.name.rfind('.');
  const std::string module = param.name.substr(0, dot), name = param.name.substr(dot + 1);
  const bool experts = param.tensor.dim() == 3 && module.ends_with(".mlp");
  if (!experts) return {param.name};
  std::vector<std::string> out;
  for (int64_t e = 0; e < param.tensor.size(0); ++e) {
    out.push_back(module + ".experts." + std::to_string(e) + "." + name + ".weight");
  }
  return out;
}

std::string dtype_name(at::ScalarType dtype) {
  switch (dtype) {
    case at::kFloat:
      return "float32";
    case at::kBFloat16:
      return "bfloat16";
    case at::kHalf:
      return "float16";
    default:
      throw std::invalid_argument(std::string("dtype: expected float32, bfloat16 or float16, got ") +
                                  at::toString(dtype));
  }
}

std::unique_ptr<Model> load_model(const fs::path& folder, Weights weights) {
  const ModelConfig config = read_hf_config(folder);
  Source source(folder);
  check_sizes(config, source);
  std::unique_ptr<Model> model;
  try {
    model = std::make_unique<Model>(config);
  } catch (const std::invalid_argument& error) {  // heads of a norm that do not divide its width
    throw UserError((folder / "config.json").string() + ": " + error.what());
  }
  set_weights(*model, source, weights);
  return model;
}

void load_weights(Model& model, const fs::path& folder, Weights weights) {
  Source source(folder);
  set_weights(model, source, weights);
}

void write_model(const Model& model, const fs::path& folder, at::ScalarType dtype,
                 const nlohmann::json& more) {
  std::vector<TensorSource> tensors;
  for (const ParamInfo& p : model.params()) {
    const std::vector<std::string> names = stored_names(p);
    const bool stack = is_stack(p, names);
    for (size_t i = 0; i < names.size(); ++i) {
      const Tensor piece = stack ? p.tensor.detach()[static_cast<int64_t>(i)] : p.tensor.detach();
      tensors.push_back({names[i], dtype, piece.sizes().vec(), [piece, dtype] { return piece.to(dtype); }});
    }
  }
  write_safetensors(folder / "model.safetensors", tensors);
  nlohmann::json config = hf_config(model.config(), dtype_name(dtype));
  config.update(more);
  replace_file(folder / "config.json", config.dump(2) + "\n");
}

void save_model(const Model& model, const fs::path& folder, at::ScalarType dtype,
                const nlohmann::json& more) {
  NewFolder target(folder);
  write_model(model, target.path(), dtype, more);
  target.commit();
}

}  // namespace seednorm::lab

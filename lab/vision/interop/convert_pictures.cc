#include "lab/vision/interop/convert_pictures.h"

#include <ATen/Functions.h>

#include <map>
#include <set>
#include <stdexcept>

#include "lab/base/error.h"
#include "lab/base/file.h"
#include "lab/nn/norm_conversion.h"
#include "lab/vision/interop/config_fields.h"
#include "lab/vision/interop/dit_dir.h"
#include "lab/vision/interop/image_model_dir.h"
#include "lab/vision/interop/mae_dir.h"
#include "lab/vision/interop/transformers_dir.h"

namespace seednorm::lab {
namespace {

namespace fs = std::filesystem;
using at::Tensor;

constexpr const char *kTimm = "timm", *kTransformers = "transformers", *kDit = "dit",
                     *kDiffusers = "diffusers", *kAverageFile = "average.safetensors";

std::vector<ParamInfo> state_of(const ImageModel& model) { return model.state(); }
std::vector<ParamInfo> state_of(const Mae& model) { return model.params(); }
std::vector<ParamInfo> state_of(const Dit& model) { return model.params(); }

[[noreturn]] void refuse(const std::string& place, const NormSpec& from, const NormSpec& to,
                         const std::string& why) {
  throw UserError("--norm: " + place + ": " + from.text() + " does not become " + to.text() +
                  " with the same outputs: " + why + "; train a model with it instead");
}

// Norms over a batch are none of norms_of's.
void check_batch_norms(const NormSites& from, const NormSites& to) {
  for (const auto& [site, spec] : from) {
    const NormSpec& other = to[site.name];
    if (spec.text() != other.text() && (spec.needs_batch() || other.needs_batch())) {
      refuse(site.name, spec, other,
             (spec.needs_batch() ? spec : other).name + " normalizes channels over a batch");
    }
  }
}

// Gives `to`, which differs from `from` in norms alone, its parameters. Returns how many norms differ.
template <class M>
int64_t take_weights(const M& from, const M& to) {
  const at::NoGradGuard no_grad;
  check_batch_norms(from.config().norms, to.config().norms);
  std::map<std::string, Tensor> weights;
  for (const ParamInfo& p : state_of(from)) weights[p.name] = p.tensor;
  std::set<std::string> norms;
  int64_t replaced = 0;
  const auto old_norms = from.norms(), new_norms = to.norms();
  for (size_t i = 0; i < new_norms.size(); ++i) {
    const auto& [name, old_norm] = old_norms[i];
    const NormLayer& norm = *new_norms[i].second;
    if (const std::string why = why_outputs_differ(*old_norm, norm); !why.empty()) {
      refuse(name, old_norm->spec(), norm.spec(), why);
    }
    share_params(*old_norm, norm);
    norms.insert(name);
    replaced += old_norm->spec().text() != norm.spec().text();
  }
  for (const ParamInfo& p : state_of(to)) {
    if (!norms.contains(p.name.substr(0, p.name.rfind('.')))) Tensor(p.tensor).copy_(weights.at(p.name));
  }
  return replaced;
}

// The model with other norms, and how many were replaced.
template <class M, class Config>
std::pair<std::shared_ptr<M>, int64_t> with_norms(
    const std::shared_ptr<M>& model, Config config,
    const std::function<std::shared_ptr<M>(const Config&)>& make,
    const std::function<void(NormSites&)>& change) {
  if (!change) return {model, 0};
  change(config.norms);
  std::shared_ptr<M> out;
  try {
    out = make(config);
  } catch (const std::invalid_argument& e) {
    throw UserError(std::string("--norm: ") + e.what());
  }
  return {out, take_weights(*model, *out)};
}

// The one that is wanted, of those that this kind of model has.
std::string layout_of(const std::string& wanted, const std::vector<std::string>& known) {
  if (wanted.empty()) return known.front();
  std::string all;
  for (const std::string& name : known) {
    if (wanted == name) return wanted;
    all += (all.empty() ? "" : " or ") + name;
  }
  throw UserError("--layout: models of this kind are written as " + all + ", got " + quote(wanted));
}

void write_new(const fs::path& out, const std::function<void(const fs::path&)>& write) {
  NewFolder folder(out);
  write(folder.path());
  folder.commit();
}

int64_t convert_classifier(const fs::path& in, const fs::path& out, const PictureConversion& conversion) {
  const std::string layout = layout_of(conversion.layout, {kTimm, kTransformers});
  const ImageModelFile file = read_image_model_file(in);
  const auto [model, replaced] = with_norms<ImageModel, ImageModelConfig>(
      load_image_model(in, conversion.average ? kAverageFile : kImageWeightsFile), file.config,
      make_image_model, conversion.change_norms);
  write_new(out, [&, &model = model](const fs::path& folder) {
    if (layout == kTransformers) return write_transformers_classifier(*model, file.preprocessing, folder);
    write_image_model(*model, file.preprocessing, folder);
  });
  return replaced;
}

int64_t convert_mae(const fs::path& in, const fs::path& out, const PictureConversion& conversion) {
  layout_of(conversion.layout, {kTransformers});
  if (conversion.average) throw UserError("--average: masked autoencoders have no averaged weights");
  const auto [model, replaced] = with_norms<Mae, MaeConfig>(
      load_mae(in), read_mae_config(in), [](const MaeConfig& c) { return std::make_shared<Mae>(c); },
      conversion.change_norms);
  if (!conversion.layout.empty()) {  // other norms are this program's alone
    for (const auto& [site, spec] : model->config().norms) {
      if (spec.name != "layer_norm") {
        throw UserError("norm." + site.name + ": ViTMAE of transformers has layer_norm, this model " +
                        spec.text());
      }
    }
  }
  write_new(out, [&, &model = model](const fs::path& folder) { write_mae(*model, folder); });
  return replaced;
}

int64_t convert_dit(const fs::path& in, const fs::path& out, const PictureConversion& conversion) {
  const std::string layout = layout_of(conversion.layout, {kDit, kDiffusers});
  const DitFile file = read_dit_file(in);
  const std::shared_ptr<Dit> old = load_dit(in);
  if (conversion.average) load_dit_weights(*old, in / kAverageFile);
  const auto [model, replaced] = with_norms<Dit, DitConfig>(
      old, file.config, [](const DitConfig& c) { return std::make_shared<Dit>(c); }, conversion.change_norms);
  write_new(out, [&, &model = model](const fs::path& folder) {
    if (layout == kDiffusers) return write_diffusers_dit(*model, file.diffusion_steps, folder);
    write_dit(*model, file.diffusion_steps, folder);
  });
  return replaced;
}

}  // namespace

PictureModel picture_model_of(const fs::path& folder) {
  const fs::path file = folder / kConfigFile;
  if (!fs::exists(file)) return PictureModel::kNone;
  const nlohmann::json config = parse_config_json(read_config_text(file), file.string());
  if (is_classifier_json(config)) return PictureModel::kClassifier;
  if (is_mae_json(config)) return PictureModel::kMae;
  return is_dit_json(config) ? PictureModel::kDit : PictureModel::kNone;
}

int64_t convert_pictures(const fs::path& in, const fs::path& out, const PictureConversion& conversion) {
  if (fs::exists(out)) throw UserError(out.string() + ": exists already; expected the name of a new folder");
  switch (picture_model_of(in)) {
    case PictureModel::kClassifier:
      return convert_classifier(in, out, conversion);
    case PictureModel::kMae:
      return convert_mae(in, out, conversion);
    case PictureModel::kDit:
      return convert_dit(in, out, conversion);
    case PictureModel::kNone:
      break;
  }
  throw UserError(in.string() +
                  ": expected the model directory of a classifier, a masked autoencoder or a DiT");
}

}  // namespace seednorm::lab

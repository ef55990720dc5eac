// seednorm convert
#include "lab/language/interop/convert.h"

#include <cstdio>
#include <stdexcept>

#include "lab/base/error.h"
#include "lab/cli/checks.h"
#include "lab/cli/verb.h"
#include "lab/language/interop/hf_config.h"
#include "lab/vision/interop/convert_pictures.h"

namespace seednorm::lab {
namespace {

struct Arguments {
  std::string in, out, norm, json;
  std::vector<std::string> sites;  // norm sites of the model; all if empty
  int64_t heads = 0;
  std::string layout;  // these two for models of pictures
  bool average = false;
};

NormSpec spec_of(const Arguments& a) {
  NormSpec spec;
  try {
    spec = NormSpec::parse(a.norm);
    if (a.heads == 0) return spec;
    spec.options.num_heads = a.heads;
    return NormSpec::parse(spec.text());  // refuses heads for a norm that has none
  } catch (const std::invalid_argument& error) {
    throw UserError(std::string("--norm: ") + error.what());
  }
}

void change_norms(const Arguments& a, const NormSpec& spec, NormSites& norms) {
  if (a.sites.empty()) norms.set_all(spec);
  try {
    for (const std::string& site : a.sites) norms[site] = spec;
  } catch (const std::invalid_argument& error) {
    throw UserError(std::string("--position: ") + error.what());
  }
}

void convert_model_of_pictures(const Arguments& a) {
  PictureConversion conversion = {.layout = a.layout, .change_norms = {}, .average = a.average};
  if (!a.norm.empty()) {
    conversion.change_norms = [&, spec = spec_of(a)](NormSites& norms) { change_norms(a, spec, norms); };
  }
  const int64_t replaced = convert_pictures(a.in, a.out, conversion);
  std::printf("%s: %lld norms replaced; the outputs are bitwise those of the original\n", a.out.c_str(),
              static_cast<long long>(replaced));
  write_json(a.json, {{"out", a.out}, {"replaced", replaced}, {"lossless", true}});
}

void run_convert(const Arguments& a) {
  if (a.norm.empty() && (a.heads > 0 || !a.sites.empty())) {
    throw UserError("--heads, --position: expected --norm, too");
  }
  if (picture_model_of(a.in) != PictureModel::kNone) return convert_model_of_pictures(a);
  if (!a.layout.empty() || a.average) {
    throw UserError("--layout, --average: " + a.in + " is no model of pictures, which alone have them");
  }
  if (a.norm.empty()) throw UserError("--norm: is required for a model of text");
  const NormSpec spec = spec_of(a);
  NormSites norms = read_hf_config(a.in).norms;
  change_norms(a, spec, norms);
  const Conversion done = convert(a.in, a.out, norms);
  std::printf("%s: %lld norms replaced; %s\n", a.out.c_str(), static_cast<long long>(done.num_replaced),
              done.lossless ? "the outputs are bitwise those of the original"
                            : "the outputs differ from the original's until it is trained");
  write_json(a.json, {{"out", a.out}, {"replaced", done.num_replaced}, {"lossless", done.lossless}});
}

}  // namespace

void add_convert(CLI::App& app) {
  const auto arguments = std::make_shared<Arguments>();
  app.add_option("--in", arguments->in, "The model's folder")->required()->type_name("DIR");
  app.add_option("--out", arguments->out, "The new folder for the converted model")
      ->required()
      ->type_name("DIR");
  app.add_option("--norm", arguments->norm, "The new norm, such as seed_norm or seed_norm(alpha_init=0.1)")
      ->type_name("NORM");
  app.add_option("--heads", arguments->heads, "The new norm's heads; the same as num_heads=H in --norm")
      ->check(at_least(1))
      ->type_name("H");
  app.add_option("--position", arguments->sites,
                 "The sites of the new norm, as in block,qk (default: every site of the model)")
      ->delimiter(',')
      ->type_name("LIST");
  app.add_option("--layout", arguments->layout,
                 "Of a model of pictures: whose files to write: timm or transformers (classifiers), dit or "
                 "diffusers (DiTs); default: those of checkpoints")
      ->type_name("NAME");
  app.add_flag("--average", arguments->average,
               "Convert the averaged weights of a checkpoint of a model of pictures");
  add_json_option(app, arguments->json);
  app.callback([arguments] { run_convert(*arguments); });
}

}  // namespace seednorm::lab

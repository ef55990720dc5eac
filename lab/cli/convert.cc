// seednorm convert
#include "lab/language/interop/convert.h"

#include <cstdio>
#include <stdexcept>

#include "lab/base/error.h"
#include "lab/cli/checks.h"
#include "lab/cli/verb.h"
#include "lab/language/interop/hf_config.h"

namespace seednorm::lab {
namespace {

struct Arguments {
  std::string in, out, norm, json;
  std::vector<std::string> sites;  // norm sites of the model; all if empty
  int64_t heads = 0;
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

void run_convert(const Arguments& a) {
  const NormSpec spec = spec_of(a);
  const ModelConfig config = read_hf_config(a.in);
  NormSites norms = config.norms;
  if (a.sites.empty()) norms.set_all(spec);
  try {
    for (const std::string& site : a.sites) norms[site] = spec;
  } catch (const std::invalid_argument& error) {
    throw UserError(std::string("--position: ") + error.what());
  }
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
      ->required()
      ->type_name("NORM");
  app.add_option("--heads", arguments->heads, "The new norm's heads; the same as num_heads=H in --norm")
      ->check(at_least(1))
      ->type_name("H");
  app.add_option("--position", arguments->sites,
                 "The sites of the new norm, as in block,qk (default: every site of the model)")
      ->delimiter(',')
      ->type_name("LIST");
  add_json_option(app, arguments->json);
  app.callback([arguments] { run_convert(*arguments); });
}

}  // namespace seednorm::lab

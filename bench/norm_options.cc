#include "bench/norm_options.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <stdexcept>

#include "bench/onednn.h"
#include "seednorm/norm.h"

namespace seednorm::bench {

const char kNormHelp[] =
    R"(Measures forward and backward of normalization layers, and in the same rounds the limit: the fastest way
found to move the same bytes over the same buffers with the same threads.

  --norms LIST        norms, "name" or "name:heads" (rms_norm,seed_norm,seed_norm:16)
  --passes LIST       fwd, bwd (both)
  --dtypes LIST       float32, bfloat16, float16, float64 (float32,bfloat16)
  --widths LIST       columns (1024,2048,4096,8192)
  --mb LIST           MiB of one tensor (2,4,8,256)
  --threads N         threads, each tied to a processor (2)
  --param-dtype TYPE  of the parameters (float32)
  --save-stats        forward also writes what backward needs
  --simd TARGET       instruction set of the kernels, not of the limit (the best)
  --rounds N          at least this many rounds (15)
  --seconds S         and at least this long for each configuration (1.5)
  --quick             a small set and few rounds, to see that it works
  --json FILE         results as JSON
  --help

  --peer onednn       compare LayerNorm and RMSNorm with oneDNN instead, which is loaded at run time
  --peer-library FILE oneDNN's library (libdnnl.so.3, searched for as usual)
  --shapes LIST       shapes of that comparison (256x1024,1024x2048,1024x4096,16384x2048,8192x4096)
)";

namespace {

[[noreturn]] void fail(const std::string& option, const std::string& expected, const std::string& got) {
  throw std::invalid_argument(option + ": expected " + expected + ", got \"" + got + "\"");
}

std::vector<std::string> split(const std::string& option, const std::string& text) {
  std::vector<std::string> parts;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    if (end == begin) fail(option, "a list without empty entries", text);
    parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

int64_t parse_int(const std::string& option, const std::string& text, int64_t max) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 1 || value > max) {
    fail(option, "a whole number from 1 to " + std::to_string(max), text);
  }
  return value;
}

double parse_seconds(const std::string& option, const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !(value >= 0 && value <= 3600)) {
    fail(option, "seconds from 0 to 3600", text);
  }
  return value;
}

DType parse_dtype(const std::string& option, const std::string& text) {
  for (DType dtype : {DType::kFloat32, DType::kBFloat16, DType::kFloat16, DType::kFloat64}) {
    if (text == name_of(dtype)) return dtype;
  }
  fail(option, "float32, bfloat16, float16 or float64", text);
}

Pass parse_pass(const std::string& option, const std::string& text) {
  for (Pass pass : {Pass::kForward, Pass::kBackward}) {
    if (text == name_of(pass)) return pass;
  }
  fail(option, "fwd or bwd", text);
}

NormSpec parse_norm(const std::string& option, const std::string& text) {
  const size_t colon = text.find(':');
  NormSpec spec{text.substr(0, colon)};
  const std::vector<std::string> known = norm_names();
  if (std::find(known.begin(), known.end(), spec.norm) == known.end()) {
    std::string all;
    for (const std::string& name : known) all += (all.empty() ? "" : ", ") + name;
    fail(option, "norms out of " + all, spec.norm);
  }
  if (colon != std::string::npos) spec.heads = parse_int(option, text.substr(colon + 1), 1 << 20);
  return spec;
}

Shape parse_shape(const std::string& option, const std::string& text) {
  const size_t x = text.find('x');
  if (x == std::string::npos) fail(option, "rows and columns as in 1024x2048", text);
  constexpr int64_t kMost = int64_t{1} << 24;
  return {parse_int(option, text.substr(0, x), kMost), parse_int(option, text.substr(x + 1), kMost)};
}

template <class Parse>
auto parse_list(const std::string& option, const std::string& text, const Parse& parse) {
  std::vector<decltype(parse(option, text))> list;
  for (const std::string& part : split(option, text)) list.push_back(parse(option, part));
  return list;
}

// Options that only one of the two measurements has are refused by the other.
void check_peer(const NormOptions& o, const std::vector<std::string>& args) {
  const bool with_peer = !o.peer.empty();
  const std::vector<std::string> foreign =
      with_peer ? std::vector<std::string>{"--widths", "--mb", "--param-dtype", "--save-stats"}
                : std::vector<std::string>{"--peer-library", "--shapes"};
  for (const std::string& name : foreign) {
    if (std::find(args.begin(), args.end(), name) == args.end()) continue;
    throw std::invalid_argument(
        name + (with_peer ? " has no meaning with --peer, which takes --shapes" : " needs --peer onednn"));
  }
  if (!with_peer) return;
  for (const NormSpec& spec : o.norms) {
    if (spec.norm != "layer_norm" && spec.norm != "rms_norm")
      fail("--norms", "layer_norm or rms_norm, which oneDNN has,", spec.norm);
  }
  for (DType dtype : o.dtypes) {
    if (dtype != DType::kFloat32 && dtype != DType::kBFloat16)
      fail("--dtypes", "float32 or bfloat16 with --peer", name_of(dtype));
  }
}

// The small set, before what the command line says of it.
void make_quick(NormOptions* options) {
  options->quick = true;
  options->widths = {1024};
  options->tensor_mb = {1};
  options->shapes = {{64, 256}};
  options->rounds = 5;
  options->seconds = 0;
}

}  // namespace

const char* name_of(Pass pass) { return pass == Pass::kForward ? "fwd" : "bwd"; }

NormOptions parse_norm_options(const std::vector<std::string>& args) {
  NormOptions o;
  if (std::find(args.begin(), args.end(), "--quick") != args.end()) make_quick(&o);
  if (std::find(args.begin(), args.end(), "--peer") != args.end())
    o.norms = {{"layer_norm", 1}, {"rms_norm", 1}};
  o.peer_library = kOneDnnLibrary;
  for (size_t i = 0; i < args.size(); ++i) {
    const std::string& name = args[i];
    const auto value = [&]() -> const std::string& {
      if (i + 1 >= args.size()) throw std::invalid_argument(name + ": expected a value after it, see --help");
      return args[++i];
    };
    const auto number = [](const std::string& option, const std::string& text) {
      return parse_int(option, text, int64_t{1} << 24);
    };
    if (name == "--norms") {
      o.norms = parse_list(name, value(), parse_norm);
    } else if (name == "--passes") {
      o.passes = parse_list(name, value(), parse_pass);
    } else if (name == "--dtypes") {
      o.dtypes = parse_list(name, value(), parse_dtype);
    } else if (name == "--widths") {
      o.widths = parse_list(name, value(), number);
    } else if (name == "--mb") {
      o.tensor_mb = parse_list(name, value(), number);
    } else if (name == "--threads") {
      o.threads = static_cast<int>(parse_int(name, value(), 1024));
    } else if (name == "--param-dtype") {
      o.param_dtype = parse_dtype(name, value());
    } else if (name == "--simd") {
      o.simd = value();
    } else if (name == "--rounds") {
      o.rounds = static_cast<int>(parse_int(name, value(), 1 << 20));
    } else if (name == "--seconds") {
      o.seconds = parse_seconds(name, value());
    } else if (name == "--peer") {
      o.peer = value();
      if (o.peer != "onednn") fail(name, "onednn", o.peer);
    } else if (name == "--peer-library") {
      o.peer_library = value();
    } else if (name == "--shapes") {
      o.shapes = parse_list(name, value(), parse_shape);
    } else if (name == "--json") {
      o.json_path = value();
    } else if (name == "--save-stats") {
      o.save_stats = true;
    } else if (name == "--help") {
      o.help = true;
    } else if (name != "--quick") {
      throw std::invalid_argument("unknown option \"" + name + "\", see --help");
    }
  }
  check_peer(o, args);
  return o;
}

}  // namespace seednorm::bench

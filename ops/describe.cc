// A norm's description for Python: names, roles and shapes of its parameters, and its options.
#include <functional>
#include <iterator>
#include <map>
#include <string>
#include <string_view>

#include "core/src/registry.h"
#include "ops/check.h"

namespace {

using seednorm::NormInfo;
using seednorm::NormParamInfo;

// Names are those of enumerators and parameters, none of which needs to be escaped.
std::string quoted(std::string_view text) { return '"' + std::string(text) + '"'; }

// The items with commas between them, in brackets.
class Array {
 public:
  void add(const std::string& item) { text_ += (text_.empty() ? "" : ", ") + item; }
  std::string text() const { return '[' + text_ + ']'; }

 private:
  std::string text_;
};

std::string json(const NormParamInfo& p) {
  constexpr const char* kShapes[] = {"absent", "vector", "scalar", "per_sample"};
  static_assert(std::size(kShapes) == seednorm::kNumParamKinds);
  Array forms;
  for (int f = 0; f < seednorm::kNumForms; ++f) {
    const auto form = static_cast<seednorm::Form>(f);
    if (p.forms.contains(form)) forms.add(quoted(name_of(form)));
  }
  return "{\"name\": " + quoted(name_of(p.param)) + ", \"role\": " + quoted(name_of(p.role)) +
         ", \"state_name\": " + quoted(p.state_name) +
         ", \"shape\": " + quoted(kShapes[static_cast<int>(p.shape)]) + ", \"forms\": " + forms.text() + "}";
}

std::string json(const NormInfo& info) {
  Array params, options;
  for (const NormParamInfo& p : info.params()) params.add(json(p));
  if (info.has_heads) options.add(quoted("num_heads"));
  if (info.has_eps) options.add(quoted("eps"));
  if (info.has_sigma) options.add(quoted("sigma"));
  if (info.has_sigma) options.add(quoted("dot_scale"));
  if (info.has_dropout) options.add(quoted("dropout"));
  const auto flag = [](bool value) { return value ? "true" : "false"; };
  return "{\"params\": " + params.text() + ", \"options\": " + options.text() +
         ", \"residual_add\": " + flag(info.has_residual_add) +
         ", \"needs_condition\": " + flag(info.needs_condition()) +
         ", \"starts_as\": " + (info.starts_as == nullptr ? "null" : quoted(info.starts_as)) + "}";
}

}  // namespace

const char* seednorm_ops_describe(const char* norm) {
  static const auto texts = [] {
    std::map<std::string, std::string, std::less<>> all;
    for (const NormInfo& info : seednorm::all_norms()) all[info.name] = json(info);
    return all;
  }();
  const auto found = texts.find(std::string_view(norm));
  return found == texts.end() ? nullptr : found->second.c_str();
}

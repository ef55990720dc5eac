#include "lab/train/run_result.h"

#include <limits>

#include "lab/base/error.h"
#include "lab/base/json_field.h"

namespace seednorm::lab {

using Json = nlohmann::ordered_json;

double RunResult::value(const std::string& metric) const {
  for (const auto& [name, value] : values) {
    if (name == metric) return value;
  }
  return std::numeric_limits<double>::quiet_NaN();
}

std::string result_json(const RunResult& result) {
  Json values = Json::object();
  for (const auto& [name, value] : result.values) values[name] = value;
  const Json out = {{"run", run_info_json(result.info)},
                    {"steps", result.steps},
                    {"units", result.units},
                    {"flops_per_unit", result.flops_per_unit},
                    {"seconds", result.seconds},
                    {"diverged", result.diverged},
                    {"values", values},
                    {"measured", result.measured}};
  return out.dump(1) + "\n";
}

RunResult parse_result(const std::string& name, const std::string& text) {
  const Json json = parse_json_or_null(text);
  try {
    RunResult out;
    if (const auto info = run_info(json.at("run"))) out.info = *info;
    out.steps = json.at("steps").get<int64_t>();
    out.units = json.at("units").get<int64_t>();
    // Results of older versions lack it.
    if (json.contains("flops_per_unit") && !json["flops_per_unit"].is_null())
      out.flops_per_unit = json["flops_per_unit"].get<double>();
    out.seconds = json.at("seconds").get<double>();
    out.units_per_s = static_cast<double>(out.units) / out.seconds;
    out.diverged = json.at("diverged").get<bool>();
    for (const auto& [metric, value] : json.at("values").items()) {
      out.values.emplace_back(
          metric, value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.get<double>());
    }
    out.measured = json.at("measured");
    return out;
  } catch (const nlohmann::json::exception&) {
    throw UserError(name + ": is not the result of a run; remove it, and the run is measured again");
  }
}

}  // namespace seednorm::lab

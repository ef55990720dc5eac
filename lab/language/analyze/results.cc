#include "lab/language/analyze/results.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace seednorm::lab {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kNameWidth = 44;

Json number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

Json json_of(const Distribution& d) {
  return {{"count", d.count},     {"mean", number(d.mean)},     {"sd", number(d.sd)},
          {"q01", number(d.q01)}, {"median", number(d.median)}, {"q99", number(d.q99)}};
}

Json json_of(const GroupedDistribution& grouped) {
  Json out = {{"explained", number(grouped.explained)}, {"groups", Json::array()}};
  for (const Distribution& d : grouped.groups) out["groups"].push_back(json_of(d));
  return out;
}

Json json_of(const HeadSums& sums) {
  return {{"heads", sums.heads}, {"rms_z", number(sums.rms_z())}, {"saturated", number(sums.saturated())}};
}

Json json_of(const GradientMoments& moments) {
  return {{"variance", number(moments.variance)}, {"squared_mean", number(moments.squared_mean)}};
}

std::string left(std::string text, size_t width) {
  text.resize(std::max(width, text.size()), ' ');
  return text;
}
std::string right(const std::string& text, size_t width) {
  return std::string(width > text.size() ? width - text.size() : 0, ' ') + text;
}

// A number in a column; "-" for null.
std::string cell(const Json& value, size_t width, const char* format = "%.4g") {
  if (value.is_null()) return " " + right("-", width - 1);
  char text[32];
  if (value.is_number_integer()) {
    std::snprintf(text, sizeof text, "%lld", value.get<long long>());
  } else {
    std::snprintf(text, sizeof text, format, value.get<double>());
  }
  return " " + right(text, width - 1);
}

std::string loss_table(const Json& texts) {
  std::string out = left("text", kNameWidth) + "   tokens      loss  bits per byte\n";
  for (const Json& text : texts) {
    out += left(text["text"], kNameWidth) + cell(text["tokens"], 9) + cell(text["loss"], 10, "%.4f") +
           cell(text["bits_per_byte"], 15, "%.4f") + "\n";
  }
  return out;
}

// A column for each text.
std::string scale_table(const Json& texts) {
  const Json& rows = texts[0]["scaled"];
  if (rows.empty()) return "";
  std::vector<size_t> widths;
  std::string out = "\nloss with activations times k\n" + left("times k", 10) + right("k", 9);
  for (const Json& text : texts) {
    const std::string name = text["text"];
    widths.push_back(std::max<size_t>(name.size() + 2, 11));
    out += right(name, widths.back());
  }
  out += "\n";
  for (size_t r = 0; r < rows.size(); ++r) {
    out += left(rows[r]["what"], 10) + cell(rows[r]["scale"], 9);
    for (size_t t = 0; t < texts.size(); ++t) out += cell(texts[t]["scaled"][r]["loss"], widths[t], "%.4f");
    out += "\n";
  }
  return out;
}

std::string distribution_cells(const Json& d) {
  std::string out;
  for (const char* key : {"mean", "sd", "q01", "median", "q99"}) out += cell(d[key], 10);
  return out;
}

std::string activation_table(const Json& text) {
  constexpr const char* kColumns = "      mean        sd        1%       50%       99%";
  std::string out = "\nrms of the norms' input, " + text["text"].get<std::string>() + "\n" +
                    left("norm", kNameWidth) + kColumns + "\n",
              dots, experts;
  for (const Json& norm : text["norms"]) {
    const std::string name = left(norm["norm"], kNameWidth);
    out += name + distribution_cells(norm["rms"]) + "\n";
    if (norm.contains("z")) {
      dots += name + distribution_cells(norm["z"]) + cell(norm["u"]["sd"], 10) + cell(norm["saturated"], 11) +
              "\n";
    }
    if (!norm.contains("by_expert")) continue;
    const Json& groups = norm["by_expert"];
    experts += name + cell(groups["rms"]["explained"], 16);
    experts += cell(groups.contains("z") ? groups["z"]["explained"] : Json(), 16) + "\n";
  }
  if (!dots.empty()) {
    out += "\nz = x . beta, " + text["text"].get<std::string>() + "\n" + left("norm", kNameWidth) + kColumns +
           "   sd of u  saturated\n" + dots;
  }
  if (!experts.empty()) {
    out += "\nvariance that a token's experts explain, " + text["text"].get<std::string>() + "\n" +
           left("norm", kNameWidth) + "          of rms            of z\n" + experts;
  }
  return out;
}

std::string plan_table(const Json& plan) {
  char head[200];
  std::snprintf(head, sizeof head, "\nplan, with a dynamic share of %.3g\n",
                plan["dynamic_share"].get<double>());
  std::string out = head + left("site", 8) +
                    "    share   heads      rms z  saturated   heads      rms z  theorem  " +
                    "saturated  setting\n";
  for (const Json& site : plan["sites"]) {
    out += left(site["site"], 8);
    if (site["norms"] == 0) {
      out += "  beta is 0\n";
      continue;
    }
    const Json &now = site["now"], &planned = site["planned"];
    out += cell(site["dynamic_share"], 9) + cell(now["heads"], 8) + cell(now["rms_z"], 11) +
           cell(now["saturated"], 11);
    if (planned.is_null()) {
      out += "  " + site["reason"].get<std::string>() + "\n";
      continue;
    }
    out += cell(planned["heads"], 8) + cell(planned["rms_z"], 11) + cell(planned["theorem_rms_z"], 9) +
           cell(planned["saturated"], 11) + "  " + site["setting"].get<std::string>() + "\n";
  }
  return out;
}

std::string gradient_table(const Json& rows) {
  std::string out = "\nvariance of the gradient over " + std::to_string(rows[0]["batches"].get<int64_t>()) +
                    " batches\n" + left("heads", 8) +
                    "      loss       alpha        beta       gamma  relative to the first row\n";
  for (const Json& row : rows) {
    out += left(std::to_string(row["heads"].get<int64_t>()), 8) + cell(row["loss"], 10, "%.4f");
    std::string ratios;
    for (const char* param : {"alpha", "beta", "gamma"}) {
      const Json &value = row[param]["variance"], &first = rows[0][param]["variance"];
      out += cell(value, 12);
      const bool has_ratio = value.is_number() && first.is_number() && first.get<double>() > 0;
      ratios += cell(has_ratio ? Json(value.get<double>() / first.get<double>()) : Json(), 9, "%.3f");
    }
    out += ratios + "\n";
  }
  return out;
}

}  // namespace

Json to_json(const NormActivations& norm) {
  Json out = {{"norm", norm.name},
              {"site", norm.place.site},
              {"layer", norm.place.layer ? Json(*norm.place.layer) : Json()},
              {"rms", json_of(norm.rms)}};
  if (norm.z) {
    out["z"] = json_of(*norm.z);
    out["u"] = json_of(*norm.u);
    out["saturated"] = number(norm.saturated);
  }
  if (norm.rms_by_expert) out["by_expert"]["rms"] = json_of(*norm.rms_by_expert);
  if (norm.z_by_expert) out["by_expert"]["z"] = json_of(*norm.z_by_expert);
  return out;
}

Json to_json(const SitePlan& plan) {
  Json out = {{"site", plan.site}, {"norm", plan.spec.text()}, {"norms", plan.num_norms}};
  if (plan.num_norms == 0) return out;
  out["dynamic_share"] = number(plan.dynamic_share);
  out["now"] = json_of(plan.now);
  out["planned"] = nullptr;
  if (!plan.heads) {
    out["reason"] = saturation_point(plan.spec.options.sigma) ? "no number of heads keeps z from saturation"
                                                              : "the activation does not saturate";
    return out;
  }
  out["planned"] = json_of(plan.planned);
  out["planned"]["theorem_rms_z"] = number(plan.theorem_rms_z);
  out["alpha"] = plan.alpha ? Json(*plan.alpha) : Json();
  out["setting"] = "norm." + plan.site + "=" + plan.proposal().text();
  return out;
}

Json to_json(const GradientVariance& g) {
  return {{"heads", g.heads},          {"batches", g.batches},    {"loss", number(g.loss)},
          {"alpha", json_of(g.alpha)}, {"beta", json_of(g.beta)}, {"gamma", json_of(g.gamma)}};
}

std::string analysis_tables(const Json& model) {
  const Json& texts = model["texts"];
  std::string out = model["model"].get<std::string>() + "\n" + loss_table(texts) + scale_table(texts);
  for (const Json& text : texts) out += activation_table(text);
  if (model.contains("plan")) out += plan_table(model["plan"]);
  if (model.contains("gradients")) out += gradient_table(model["gradients"]);
  return out;
}

}  // namespace seednorm::lab

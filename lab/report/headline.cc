#include "lab/report/headline.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "lab/report/evaluations.h"

namespace seednorm::lab {
namespace {

using Json = nlohmann::ordered_json;

struct Summary {
  std::string entrant;
  int runs = 0, diverged = 0;
  double loss = std::numeric_limits<double>::quiet_NaN();  // mean over the runs that have one
};

std::optional<double> number_at(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number()) return std::nullopt;
  return found->get<double>();
}

// 12345678 as "12,345,678".
std::string grouped(int64_t value) {
  std::string out = std::to_string(value);
  for (int64_t at = static_cast<int64_t>(out.size()) - 3; at > (value < 0 ? 1 : 0); at -= 3) {
    out.insert(static_cast<size_t>(at), ",");
  }
  return out;
}

std::string with_sign(double value, int decimals) {
  char text[40];
  std::snprintf(text, sizeof text, "%.*f", decimals, std::fabs(value));
  return (value < 0 ? "\u2212" : "+") + std::string(text);
}

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (size_t i = 0; i < words.size(); ++i) {
    out += (i == 0 ? "" : i + 1 == words.size() ? " and " : ", ") + words[i];
  }
  return out;
}

std::vector<Summary> summaries(const Json& data, size_t group, const char* metric) {
  std::vector<Summary> out;
  for (const Json& label : data["groups"][group]["entrants"]) out.push_back({label.get<std::string>()});
  for (Summary& s : out) {
    double sum = 0;
    int count = 0;
    for (const Json& run : data["runs"]) {
      if (run["group"] != group || run["entrant"] != s.entrant || run["state"] == "unfinished") continue;
      ++s.runs;
      s.diverged += run["state"] == "diverged" ? 1 : 0;
      const auto loss = number_at(run, metric);
      if (run["state"] == "diverged" || !loss) continue;
      sum += *loss;
      ++count;
    }
    if (count > 0) s.loss = sum / count;
  }
  return out;
}

const char* metric_name(const std::string& metric) {
  return metric == "val_loss" ? "validation loss" : "smoothed training loss";
}

std::string difference(const Json& pair, const std::string& metric) {
  const std::string a = pair["a"], b = pair["b"];
  const double mean = *number_at(pair, "mean_diff");
  const auto n = static_cast<int>(number_at(pair, "n").value_or(0));
  const Json ci = pair.value("ci95", Json());
  const bool has_interval = ci.is_array() && ci.size() == 2 && ci[0].is_number() && ci[1].is_number();
  const std::string head = std::string(metric_name(metric)) + ", " + b + " \u2212 " + a + ": ";
  if (!has_interval) {
    return head + with_sign(mean, 4) + " nats a token, n = " + std::to_string(n) +
           "; one pair of runs gives no interval";
  }
  const double low = ci[0], high = ci[1], half = (high - low) / 2;
  // Two digits of the interval's half width say all that is known.
  const int decimals = half > 0 ? std::clamp(static_cast<int>(1 - std::floor(std::log10(half))), 2, 7) : 4;
  const std::string verdict = high < 0  ? b + " is better"
                              : low > 0 ? a + " is better"
                                        : "no difference shown, the interval holds 0";
  return head + with_sign(mean, decimals) + " \u00b1 " + with_sign(half, decimals).substr(1) +
         " nats a token (95%), n = " + std::to_string(n) + ": " + verdict;
}

// The pair of the baseline and another, the lower of the two as it is; nothing without a number.
std::optional<std::string> best_difference(const Json& group, const std::vector<Summary>& all,
                                           const std::string& metric) {
  if (all.size() < 2) return std::nullopt;
  const auto best = std::min_element(all.begin() + 1, all.end(), [](const Summary& x, const Summary& y) {
    return std::isnan(y.loss) ? !std::isnan(x.loss) : x.loss < y.loss;
  });
  for (const Json& pair : group["pairs"]) {
    if (pair["metric"] == metric && pair["a"] == all[0].entrant && pair["b"] == best->entrant &&
        number_at(pair, "mean_diff")) {
      return difference(pair, metric);
    }
  }
  return std::nullopt;
}

std::string single(const std::vector<Summary>& all, const std::string& metric) {
  std::vector<std::string> out;
  for (const Summary& s : all) {
    if (std::isnan(s.loss)) continue;
    char text[40];
    std::snprintf(text, sizeof text, " %.4f", s.loss);
    out.push_back(s.entrant + text);
  }
  return out.empty() ? "" : std::string(metric_name(metric)) + ": " + joined(out) + " nats a token";
}

std::string divergences(const std::vector<Summary>& all) {
  std::string out;
  for (const Summary& s : all) {
    if (s.diverged == 0) continue;
    out += (out.empty() ? "" : "; ") + s.entrant + " diverged in " + std::to_string(s.diverged) + " of " +
           std::to_string(s.runs) + (s.runs == 1 ? " run" : " runs");
  }
  return out;
}

std::string capital(std::string text) {
  if (!text.empty() && text[0] >= 'a' && text[0] <= 'z') text[0] = static_cast<char>(text[0] - 'a' + 'A');
  return text;
}

std::string answer(const Json& data, size_t index) {
  std::string out;
  for (const std::string metric : {"val_loss", "train_loss"}) {
    const std::vector<Summary> all = summaries(data, index, metric.c_str());
    out = best_difference(data["groups"][index], all, metric).value_or(single(all, metric));
    const std::string lost = divergences(all);
    if (!out.empty()) return capital(out) + (lost.empty() ? "." : "; " + lost + ".");
    if (metric == "train_loss" && !lost.empty()) return lost + ".";
  }
  return "No run has finished yet.";
}

std::string title(const Json& data, size_t index) {
  const Json& group = data["groups"][index];
  const std::vector<std::string> entrants = group["entrants"];
  const std::string recipe = group.value("recipe", "");
  std::string out = joined(entrants) + (recipe.empty() ? "" : " in " + recipe);
  double steps = 0;
  for (const Json& run : data["runs"]) {
    if (run["group"] == index) steps = std::max(steps, number_at(run, "steps").value_or(0));
  }
  if (const auto seeds = number_at(group, "seeds"); seeds && *seeds > 1) {
    out += ", " + std::to_string(static_cast<int>(*seeds)) + " seeds";
  }
  if (steps > 0) out += ", " + grouped(static_cast<int64_t>(steps)) + " steps";
  return out;
}

}  // namespace

void add_headlines(Json& data) {
  const size_t count = data["groups"].size();
  if (count == 0) {
    std::vector<std::string> names;
    for (const Json& evaluation : data["evaluations"]) names.push_back(evaluation["name"]);
    data["title"] = "Evaluation of " + joined(names);
    data["answer"] = evaluations_answer(data["evaluations"]);
    return;
  }
  for (size_t i = 0; i < count; ++i) {
    data["groups"][i]["title"] = title(data, i);
    data["groups"][i]["answer"] = answer(data, i);
  }
  if (count == 1) {
    data["title"] = data["groups"][0]["title"];
    data["answer"] = data["groups"][0]["answer"];
    return;
  }
  std::vector<std::string> names;
  std::string answers;
  for (const Json& group : data["groups"]) {
    names.push_back(group["name"]);
    answers += (answers.empty() ? "" : " ") + group["name"].get<std::string>() + ": " +
               group["answer"].get<std::string>();
  }
  data["title"] = std::to_string(count) + " results: " + joined(names);
  data["answer"] = answers;
}

}  // namespace seednorm::lab

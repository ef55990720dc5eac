#include "lab/race/race.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <set>
#include <sstream>

#include "lab/base/error.h"
#include "lab/base/file.h"
#include "lab/base/interrupt.h"
#include "lab/base/machine.h"
#include "lab/language/models/model.h"
#include "lab/race/paired.h"

namespace seednorm::lab {
namespace {

namespace fs = std::filesystem;

// Pieces between `separator`s that stand outside of brackets.
std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> out(1);
  int depth = 0;
  for (const char c : text) {
    depth += (c == '(') - (c == ')');
    if (c == separator && depth == 0) {
      out.emplace_back();
    } else {
      out.back() += c;
    }
  }
  return out;
}

bool is_setting(const std::string& key) {
  const auto all = settings();
  return std::any_of(all.begin(), all.end(), [&](const Setting& s) { return s.name == key; });
}

Entrant parse_entrant(const std::string& text) {
  Entrant out;
  std::string rest = text;
  const size_t equals = rest.find('='), bracket = rest.find_first_of("(:+");
  if (equals != std::string::npos && equals < bracket && !is_setting(rest.substr(0, equals))) {
    out.label = rest.substr(0, equals);
    rest = rest.substr(equals + 1);
  }
  for (const std::string& part : split(rest, '+')) {
    const size_t colon = part.find(':'), open = part.find('('), assign = part.find('=');
    if (assign < colon && colon < open) {
      throw UserError("--norms: " + quote(part.substr(0, assign)) +
                      " is the name of a setting; choose another label");
    }
    if (colon < open) {
      out.settings.push_back("norm." + part.substr(0, colon) + "=" + part.substr(colon + 1));
    } else if (assign < open) {
      out.settings.push_back(part);
    } else {
      out.settings.push_back("norm=" + part);
    }
  }
  if (out.label.empty()) {
    for (const char c : text) {
      if (c != ' ') out.label += c;
    }
  }
  return out;
}

std::string folder_name(const std::string& label, int64_t seed) {
  return plain_file_name(label) + "-s" + std::to_string(seed);
}

double mean_of(const nlohmann::json& losses) {
  double sum = 0;
  for (const auto& [name, loss] : losses.items()) sum += loss.get<double>();
  return sum / static_cast<double>(losses.size());
}

std::vector<std::pair<double, double>> read_curve(const fs::path& run) {
  std::vector<std::pair<double, double>> out;
  std::stringstream lines(read_file(run / "metrics.jsonl", size_t{1} << 32));
  for (std::string line; std::getline(lines, line);) {
    const auto json = nlohmann::json::parse(line, nullptr, false);
    if (json.is_object() && json.contains("valid") && !json["valid"].empty()) {
      out.emplace_back(json.at("seconds").get<double>(), mean_of(json["valid"]));
    }
  }
  return out;
}

// The curve's value at `seconds`, between its points; NaN outside of them.
double at_time(const std::vector<std::pair<double, double>>& curve, double seconds) {
  for (size_t i = 0; i < curve.size(); ++i) {
    if (curve[i].first < seconds) continue;
    if (curve[i].first == seconds) return curve[i].second;
    if (i == 0) break;
    const double share = (seconds - curve[i - 1].first) / (curve[i].first - curve[i - 1].first);
    return curve[i - 1].second + share * (curve[i].second - curve[i - 1].second);
  }
  return std::numeric_limits<double>::quiet_NaN();
}

nlohmann::json number(double value) {
  return std::isfinite(value) ? nlohmann::json(value) : nlohmann::json(nullptr);
}

// Errors (UserError): a model or training that cannot be.
void check(const Recipe& recipe, const std::string& label) {
  ModelConfig model = recipe.model;
  if (model.vocab_size == 0) model.vocab_size = 1;  // comes with the data
  try {
    recipe.train.check();
    (void)Model(model);
  } catch (const std::invalid_argument& e) {
    throw UserError(label + ": " + e.what());
  }
}

// What the race was asked for; the same text is the same race.
nlohmann::ordered_json description(const RaceSpec& spec) {
  nlohmann::ordered_json out = {{"recipe", to_toml(spec.recipe)}, {"seeds", spec.seeds}};
  for (const Entrant& e : spec.entrants)
    out["entrants"].push_back({{"label", e.label}, {"settings", e.settings}});
  return out;
}

void open_dir(const RaceSpec& spec) {
  const fs::path file = spec.dir / "race.json";
  const std::string text = description(spec).dump(1) + "\n";
  if (fs::exists(file)) {
    if (read_file(file, size_t{1} << 24) != text) {
      throw UserError(file.string() + ": another race (recipe, norms or seeds differ); choose another --out");
    }
    return;
  }
  if (fs::exists(spec.dir) && !fs::is_empty(spec.dir)) {
    throw UserError(spec.dir.string() + ": is not empty and holds no race; choose another --out");
  }
  fs::create_directories(spec.dir);
  replace_file(file, text);
}

// The pairs of two entrants' runs with the same seed, neither diverged: calls visit(a, b).
template <class Visit>
void for_pairs(const std::vector<RacedRun>& runs, const std::string& a, const std::string& b,
               const Visit& visit) {
  for (const RacedRun& x : runs) {
    for (const RacedRun& y : runs) {
      const bool paired = x.label == a && y.label == b && x.seed == y.seed;
      if (paired && !x.result.diverged && !y.result.diverged) visit(x, y);
    }
  }
}

nlohmann::json pair_json(const std::vector<RacedRun>& runs, const std::string& a, const std::string& b,
                         const std::string& metric) {
  std::vector<double> of_a, of_b;
  for_pairs(runs, a, b, [&](const RacedRun& x, const RacedRun& y) {
    const double until = std::min(x.result.seconds, y.result.seconds);
    const auto value = [&](const RacedRun& r) {
      if (metric == "train_loss") return r.result.train_loss;
      return metric == "val_loss" ? r.valid_loss() : at_time(r.valid_curve, until);
    };
    const double va = value(x), vb = value(y);
    if (!std::isfinite(va) || !std::isfinite(vb)) return;
    of_a.push_back(va);
    of_b.push_back(vb);
  });
  const PairedDifference d = paired_difference(of_a, of_b);
  return {{"a", a},
          {"b", b},
          {"metric", metric},
          {"mean_diff", number(d.mean)},
          {"ci95", {number(d.low), number(d.high)}},
          {"n", d.n}};
}

std::vector<std::string> labels_of(const std::vector<RacedRun>& runs) {
  std::vector<std::string> out;
  for (const RacedRun& r : runs) {
    if (std::find(out.begin(), out.end(), r.label) == out.end()) out.push_back(r.label);
  }
  return out;
}

}  // namespace

double RacedRun::valid_loss() const {
  if (result.valid_loss.empty()) return std::numeric_limits<double>::quiet_NaN();
  double sum = 0;
  for (const auto& [name, loss] : result.valid_loss) sum += loss;
  return sum / static_cast<double>(result.valid_loss.size());
}

std::vector<Entrant> parse_entrants(const std::string& list) {
  std::vector<Entrant> out;
  std::set<std::string> folders;
  for (const std::string& text : split(list, ',')) {
    if (text.empty()) throw UserError("--norms: an empty entry in " + quote(list, 200));
    out.push_back(parse_entrant(text));
    if (!folders.insert(plain_file_name(out.back().label)).second) {
      throw UserError("--norms: " + quote(out.back().label) +
                      " twice, or too much like another; LABEL= names it");
    }
  }
  return out;
}

std::vector<RacedRun> race(const RaceSpec& spec) {
  // Every entrant's recipe before the first run: a mistake in the last one should not show after hours.
  std::vector<Recipe> recipes;
  for (const Entrant& e : spec.entrants) {
    Recipe& r = recipes.emplace_back(spec.recipe);
    for (const std::string& s : e.settings) apply_setting(r, s);
    check(r, e.label);
  }
  open_dir(spec);
  std::vector<RacedRun> runs;
  for (int64_t k = 0; k < spec.seeds; ++k) {  // seed by seed: pairs are complete as early as can be
    for (size_t e = 0; e < recipes.size() && !interrupted(); ++e) {
      Recipe r = recipes[e];
      r.train.seed = spec.recipe.train.seed + k;
      r.train.data_seed = spec.recipe.train.data_seed + k;
      const std::string name = folder_name(spec.entrants[e].label, r.train.seed);
      const fs::path dir = spec.dir / "runs" / name;
      std::fprintf(stderr, "--- %s, seed %lld\n", spec.entrants[e].label.c_str(),
                   static_cast<long long>(r.train.seed));
      RacedRun run = {spec.entrants[e].label, r.train.seed, "runs/" + name, {}, {}};
      run.result = train_run(
          {.dir = dir, .resume = true, .model = r.model, .train = r.train, .config_text = to_toml(r)});
      if (run.result.interrupted) return runs;
      run.valid_curve = read_curve(dir);
      runs.push_back(std::move(run));
      replace_file(spec.dir / "results.json", race_results(spec, runs).dump(1) + "\n");
      std::fputs(race_table(runs).c_str(), stderr);
    }
  }
  return runs;
}

nlohmann::json race_results(const RaceSpec& spec, const std::vector<RacedRun>& runs) {
  nlohmann::json out = {{"recipe", spec.recipe.name},
                        {"machine", machine()},
                        {"runs", nlohmann::json::array()},
                        {"pairs", nlohmann::json::array()}};
  for (const RacedRun& r : runs) {
    nlohmann::json valid = nlohmann::json::object();
    for (const auto& [name, loss] : r.result.valid_loss) valid[name] = number(loss);
    out["runs"].push_back(
        {{"norm", r.label},
         {"seed", r.seed},
         {"steps", r.result.steps},
         {"tokens", r.result.tokens},
         {"train_loss", number(r.result.train_loss)},
         {"val_loss", number(r.valid_loss())},
         {"valid", valid},
         {"seconds", r.result.seconds},
         {"tokens_per_s", static_cast<double>(r.result.tokens) / std::max(r.result.seconds, 1e-9)},
         {"diverged", r.result.diverged},
         {"dir", r.dir}});
  }
  const std::vector<std::string> labels = labels_of(runs);
  for (size_t a = 0; a < labels.size(); ++a) {
    for (size_t b = a + 1; b < labels.size(); ++b) {
      for (const char* metric : {"val_loss", "val_loss_equal_time", "train_loss"}) {
        out["pairs"].push_back(pair_json(runs, labels[a], labels[b], metric));
      }
    }
  }
  return out;
}

std::string race_table(const std::vector<RacedRun>& runs) {
  std::string out = "norm                              runs  diverged  val loss  train loss  tokens/s\n";
  for (const std::string& label : labels_of(runs)) {
    int count = 0, diverged = 0;
    double valid = 0, train = 0, tokens = 0, seconds = 0;
    for (const RacedRun& r : runs) {
      if (r.label != label) continue;
      ++count;
      diverged += r.result.diverged ? 1 : 0;
      tokens += static_cast<double>(r.result.tokens);
      seconds += r.result.seconds;
      if (r.result.diverged) continue;
      valid += r.valid_loss();
      train += r.result.train_loss;
    }
    const int good = std::max(count - diverged, 1);
    char line[160];
    std::snprintf(line, sizeof line, "%-33s %4d  %8d  %8.4f  %10.4f  %8.0f\n", label.c_str(), count, diverged,
                  valid / good, train / good, tokens / std::max(seconds, 1e-9));
    out += line;
  }
  return out;
}

}  // namespace seednorm::lab

#include "lab/report/metrics.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <string_view>

#include "lab/base/error.h"
#include "lab/base/file.h"
#include "lab/base/json_field.h"

namespace seednorm::lab {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kMaxPoints = 2000;  // of a curve: more than a screen has columns
constexpr size_t kMaxNormLines = 60, kMaxSamples = 20;
constexpr double kEma = 0.99;  // of files without loss_ema; the paper smooths its curves so
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

struct Point {
  double step = kNaN, tokens = kNaN, seconds = kNaN, loss = kNaN, ema = kNaN, grad_norm = kNaN;
};

double number_in(const Json& line, const char* key) {
  const auto found = line.find(key);
  return found != line.end() && found->is_number() ? found->get<double>() : kNaN;
}

std::vector<Point> thinned(const std::vector<Point>& points) {
  if (points.size() <= kMaxPoints) return points;
  std::vector<Point> out = {points.front()};
  const size_t stretches = kMaxPoints / 2 - 1;
  for (size_t k = 0; k < stretches; ++k) {
    const auto begin = points.begin() + static_cast<std::ptrdiff_t>(k * points.size() / stretches);
    const auto end = points.begin() + static_cast<std::ptrdiff_t>((k + 1) * points.size() / stretches);
    auto [low, high] =
        std::minmax_element(begin, end, [](const Point& a, const Point& b) { return a.loss < b.loss; });
    if (low > high) std::swap(low, high);
    out.push_back(*low);
    if (low != high) out.push_back(*high);
  }
  out.push_back(points.back());
  return out;
}

Json columns(const std::vector<Point>& points) {
  Json out;
  const auto add = [&](const char* name, double Point::*member, int digits) {
    Json& column = out[name] = Json::array();
    for (const Point& p : points) column.push_back(rounded(p.*member, digits));
  };
  add("step", &Point::step, 15);
  add("tokens", &Point::tokens, 15);
  add("seconds", &Point::seconds, 6);
  add("loss", &Point::loss, 6);
  add("ema", &Point::ema, 7);
  add("grad_norm", &Point::grad_norm, 5);
  return out;
}

// At most `count` of the list, evenly, the last one among them.
Json evenly(const Json& list, size_t count) {
  if (list.size() <= count) return list;
  Json out = Json::array();
  for (size_t k = 1; k <= count; ++k) out.push_back(list[k * list.size() / count - 1]);
  return out;
}

// The numbers in an object of objects, rounded; nothing else.
Json rounded_tree(const Json& tree) {
  Json out = Json::object();
  for (const auto& [key, value] : tree.items()) {
    if (value.is_number()) out[key] = rounded(value.get<double>(), 4);
    if (value.is_object()) out[key] = rounded_tree(value);
  }
  return out;
}

class Reader {
 public:
  // Whether the line was understood.
  bool add(std::string_view text) {
    const Json line = parse_json_or_null(text);
    if (!line.is_object() || std::isnan(number_in(line, "step"))) return false;
    const Json& step = line["step"];
    if (line.contains("loss")) add_point(line);
    add_named(line, "valid", valid_);
    add_named(line, "tasks", tasks_);
    if (line.contains("norms") && line["norms"].is_object()) {
      norms_.push_back({{"step", step}, {"norms", rounded_tree(line["norms"])}});
    }
    if (line.contains("sample") && line["sample"].is_string()) {
      samples_.push_back({{"step", step}, {"sample", line["sample"]}});
    }
    if (line.value("diverged", Json()) == true) diverged_at_ = step;
    return true;
  }

  Json result() const {
    Json out = {{"train", columns(thinned(points_))},
                {"valid", valid_},
                {"tasks", tasks_},
                {"norms", evenly(norms_, kMaxNormLines)},
                {"samples", evenly(samples_, kMaxSamples)}};
    if (!diverged_at_.is_null()) out["diverged_at"] = diverged_at_;
    return out;
  }

 private:
  void add_point(const Json& line) {
    Point p = {number_in(line, "step"), number_in(line, "tokens"),   number_in(line, "seconds"),
               number_in(line, "loss"), number_in(line, "loss_ema"), number_in(line, "grad_norm")};
    if (!std::isfinite(p.loss)) return;
    if (std::isnan(p.ema)) p.ema = points_.empty() ? p.loss : kEma * points_.back().ema + (1 - kEma) * p.loss;
    points_.push_back(p);
  }

  // line[what], numbers by name, if it is there.
  static void add_named(const Json& line, const char* what, Json& list) {
    if (!line.contains(what) || !line[what].is_object()) return;
    Json numbers = Json::object();
    for (const auto& [name, value] : line[what].items()) {
      numbers[name] = value.is_number() ? rounded(value.get<double>(), 7) : Json();
    }
    list.push_back({{"step", line["step"]},
                    {"tokens", rounded(number_in(line, "tokens"), 15)},
                    {"seconds", rounded(number_in(line, "seconds"))},
                    {what, numbers}});
  }

  std::vector<Point> points_;
  Json valid_ = Json::array(), tasks_ = Json::array(), norms_ = Json::array(), samples_ = Json::array(),
       diverged_at_;
};

}  // namespace

nlohmann::ordered_json rounded(double value, int digits) {
  if (!std::isfinite(value)) return nullptr;
  if (value == std::floor(value) && std::fabs(value) < 1e15) return static_cast<int64_t>(value);
  char text[40];
  std::snprintf(text, sizeof text, "%.*g", digits, value);
  return std::strtod(text, nullptr);
}

nlohmann::ordered_json read_metrics(const std::filesystem::path& file, std::vector<std::string>& notes) {
  Reader reader;
  if (!std::filesystem::exists(file)) {
    notes.push_back(file.string() + " is not there: a run without curves.");
    return reader.result();
  }
  const MappedFile mapped(file);
  std::string_view rest = mapped.bytes();
  size_t number = 0, damaged = 0, first = 0;
  while (!rest.empty()) {
    const size_t end = rest.find('\n');
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    ++number;
    if (line.empty() || reader.add(line)) continue;
    if (end == std::string_view::npos) {
      notes.push_back(file.string() + " ends in the middle of a line, which was left out.");
    } else if (damaged++ == 0) {
      first = number;
    }
  }
  if (damaged > 0) {
    notes.push_back(file.string() + " has " + std::to_string(damaged) + (damaged == 1 ? " line" : " lines") +
                    " that could not be read (the first is line " + std::to_string(first) + ").");
  }
  return reader.result();
}

}  // namespace seednorm::lab

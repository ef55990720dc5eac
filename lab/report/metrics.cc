#include "lab/report/metrics.h"

#include <algorithm>
#include <cmath>
#include <string_view>

#include "lab/base/file.h"
#include "lab/base/json_field.h"
#include "lab/base/smoothing.h"
#include "lab/report/compatibility.h"
#include "lab/report/fields.h"

namespace seednorm::lab {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kMaxImageBytes = size_t{1} << 22;  // of base64

// The numbers in an object of objects; nothing else.
Json numbers_of(const Json& tree) {
  Json out = Json::object();
  for (const auto& [key, value] : tree.items()) {
    if (value.is_number()) out[key] = rounded(value.get<double>(), 4);
    if (value.is_object()) out[key] = numbers_of(value);
  }
  return out;
}

// Whether the text is a PNG in base64; the page must not load anything else.
bool is_png(std::string_view base64) {
  constexpr std::string_view kSignature = "iVBORw0KGgo";
  constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";
  return base64.starts_with(kSignature) && base64.find_first_not_of(kAlphabet) == std::string_view::npos;
}

class Reader {
 public:
  Reader(RunInfo& info, std::vector<std::string>& notes) : info_(info), notes_(notes) {}

  // Returns whether the line was understood.
  bool add(std::string_view text) {
    const Json line = parse_json_or_null(text);
    if (!line.is_object() || std::isnan(number_at(line, "step"))) return false;
    if (line.contains("loss")) add_point(line);
    add_measured(line);
    if (line.contains("norms") && line["norms"].is_object()) {
      out_.norms.push_back({{"step", line["step"]}, {"norms", numbers_of(line["norms"])}});
    }
    add_samples(line);
    add_classes(line);
    if (line.value("diverged", Json()) == true)
      out_.diverged_at = static_cast<int64_t>(number_at(line, "step"));
    return true;
  }

  Curves result(const std::string& file) {
    if (images_left_out_ > 0) {
      notes_.push_back(file + " has " + std::to_string(images_left_out_) +
                       " sample images that were left out: not PNG in base64, or larger than 3 MB.");
    }
    return std::move(out_);
  }

 private:
  double units_of(const Json& line) const { return number_at(line, (info_.unit + "s").c_str()); }

  void add_point(const Json& line) {
    TrainPoint p = {number_at(line, "step"),     units_of(line),
                    number_at(line, "seconds"),  number_at(line, "loss"),
                    number_at(line, "loss_ema"), number_at(line, "grad_norm")};
    if (!std::isfinite(p.loss)) return;
    if (std::isnan(p.ema)) {  // a file without loss_ema
      p.ema = smoothed(out_.train.empty() ? p.ema : out_.train.back().ema, p.loss);
    }
    out_.train.push_back(p);
  }

  bool is_metric(const std::string& name) {
    if (name == kTrainLoss) return false;  // that curve has its points already
    if (find_metric(info_.metrics, name)) return true;
    const auto metric = undescribed_metric(name, info_);
    if (metric) info_.metrics.push_back(*metric);
    return metric.has_value();
  }

  void add_measured(const Json& line) {
    Measured m = {number_at(line, "step"), units_of(line), number_at(line, "seconds"), {}};
    const auto add = [&](const std::string& name, const Json& value) {
      const double number = value.is_number() ? value.get<double>() : TrainPoint::kNaN;
      const bool known =
          std::any_of(m.values.begin(), m.values.end(), [&](const auto& v) { return v.first == name; });
      if (!known && !value.is_structured() && is_metric(name)) m.values.emplace_back(name, number);
    };
    for (const auto& [key, value] : line.items()) {
      add(key, value);
      if (!value.is_object()) continue;
      // The object "metrics" has them under their own names.
      for (const auto& [name, part] : value.items()) add(key == "metrics" ? name : key + "/" + name, part);
    }
    add_mean_of_sets(m.values, info_);
    if (!m.values.empty()) out_.measured.push_back(std::move(m));
  }

  void add_samples(const Json& line) {
    Json items = Json::array();
    if (const std::string text = text_at(line, "sample"); !text.empty()) items.push_back({{"text", text}});
    for (const Json& sample : array_at(line, "samples")) {
      Json item = {{"title", text_at(sample, "title")}};
      const std::string text = text_at(sample, "text"), image = text_at(sample, "image");
      if (!text.empty()) item["text"] = text;
      if (is_png(image) && image.size() <= kMaxImageBytes) {
        item["image"] = image;
      } else if (sample.is_object() && sample.contains("image")) {
        ++images_left_out_;
      }
      if (item.contains("text") || item.contains("image")) items.push_back(std::move(item));
    }
    if (!items.empty()) out_.samples.push_back({{"step", line["step"]}, {"items", std::move(items)}});
  }

  void add_classes(const Json& line) {
    const Json accuracy = line.value("accuracy", Json());
    if (!accuracy.is_object()) return;
    const Json weights = accuracy.value("average", accuracy.value("weights", Json()));
    const Json found = weights.is_object() ? weights.value("classes", Json()) : Json();
    Json classes = Json::object();
    if (!found.is_object()) return;
    for (const auto& [name, counts] : found.items()) {
      const bool whole = counts.is_array() && counts.size() == 2 && counts[0].is_number_unsigned() &&
                         counts[1].is_number_unsigned();
      if (whole) classes[name] = counts;
    }
    if (!classes.empty()) out_.classes = {{"step", line["step"]}, {"classes", std::move(classes)}};
  }

  RunInfo& info_;
  std::vector<std::string>& notes_;
  Curves out_;
  size_t images_left_out_ = 0;
};

}  // namespace

Curves read_metrics(const std::filesystem::path& file, RunInfo& info, std::vector<std::string>& notes) {
  Reader reader(info, notes);
  if (!std::filesystem::exists(file)) {
    notes.push_back(file.string() + " is missing: a run without curves.");
    return {};
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
  return reader.result(file.string());
}

}  // namespace seednorm::lab

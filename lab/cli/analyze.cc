// seednorm analyze
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "lab/base/error.h"
#include "lab/base/number_list.h"
#include "lab/base/progress.h"
#include "lab/base/split_list.h"
#include "lab/cli/checks.h"
#include "lab/cli/model_options.h"
#include "lab/cli/text_input.h"
#include "lab/cli/verb.h"
#include "lab/language/analyze/results.h"
#include "lab/language/analyze/scaled_loss.h"
#include "lab/language/interop/model_dir.h"
#include "lab/vision/interop/convert_pictures.h"

namespace seednorm::lab {
namespace {

using Json = nlohmann::ordered_json;

// So many tokens of a text give quantiles of 1% to a few percent, in little memory.
constexpr int64_t kRecordedTokens = 8192;

struct Arguments {
  std::vector<std::string> models, texts;
  ModelOptions model;  // without the folder
  std::string scales = "0.25,0.5,1,2,4", gradient_heads, json;
  int64_t context = 0, limit = 0;
  double share = 0.5;
  ScoreOptions options;
};

// A text and its windows.
struct Text {
  TextInput input;
  std::vector<Window> windows;

  int64_t num_inputs() const {
    int64_t out = 0;
    for (const Window& w : windows) out += w.inputs;
    return out;
  }
};

Text read_text(const Arguments& a, const std::string& file, const Tokenizer& tokenizer,
               int64_t model_context) {
  const int64_t context = a.context > 0 ? a.context : model_context;
  if (context > model_context) {
    throw UserError("--context: the model's context is " + std::to_string(model_context) + " tokens, got " +
                    std::to_string(context));
  }
  Text out = {read_text_input(file, tokenizer), {}};
  const auto count = static_cast<int64_t>(out.input.ids.size());
  if (count < 2) {
    throw UserError(file + ": has " + std::to_string(count) + " tokens; a loss needs 2 or more");
  }
  out.windows = sliding_windows(count, context, context);
  if (a.limit > 0 && a.limit < static_cast<int64_t>(out.windows.size())) {
    out.windows.resize(static_cast<size_t>(a.limit));
  }
  return out;
}

std::vector<int64_t> head_counts(const std::string& list) {
  constexpr int64_t kMost = int64_t{1} << 20;
  std::vector<int64_t> out;
  for (const std::string& item : split_list(list)) {
    out.push_back(parse_count("--gradient-heads", item, 1, kMost));
    if (std::count(out.begin(), out.end(), out.back()) > 1)
      throw UserError("--gradient-heads: " + item + " occurs twice");
  }
  return out;
}

class Analysis {
 public:
  // Reads everything, so that mistakes show before anything is computed.
  Analysis(const Arguments& arguments, const std::string& folder)
      : arguments_(arguments),
        options_(arguments.model),
        scales_(positive_numbers("--scales", arguments.scales)),
        heads_(head_counts(arguments.gradient_heads)) {
    options_.folder = folder;
    if (picture_model_of(folder) != PictureModel::kNone)
      throw UserError(folder + ": is a model of pictures; analyze reads models of text");
    model_ = options_.load();
    const Tokenizer tokenizer = load_tokenizer(folder, options_.tokenizer, *model_);
    tokenizer_ = tokenizer.name();
    for (const std::string& file : arguments.texts) {
      texts_.push_back(read_text(arguments, file, tokenizer, model_->config().context));
    }
    for (const int64_t heads : heads_) {
      check_gradient_variance(*model_, heads, texts_[0].windows, arguments.options.batch);
    }
  }

  Json run() {
    progress_.emplace();
    Json out = {{"model", options_.folder},
                {"norms", Json::object()},
                {"dtype", options_.dtype},
                {"tokenizer", tokenizer_},
                {"texts", Json::array()}};
    for (const auto& [site, spec] : model_->config().norms) out["norms"][site.name] = spec.text();
    for (const Text& text : texts_) {
      Json result = analyze(text);
      result["scaled"] = scaled_losses(text, result["loss"]);
      out["texts"].push_back(std::move(result));
    }
    if (!measured_.empty()) {
      out["plan"] = {{"dynamic_share", arguments_.share}, {"sites", Json::array()}};
      for (const SitePlan& site : plan(measured_, arguments_.share))
        out["plan"]["sites"].push_back(to_json(site));
    }
    if (!heads_.empty()) out["gradients"] = gradients();
    progress_.reset();
    return out;
  }

 private:
  ScoreOptions reporting(const std::string& what) {
    ScoreOptions out = arguments_.options;
    out.report = [this, what](int64_t done, int64_t all) { show(what, done, all); };
    return out;
  }

  void show(const std::string& what, int64_t done, int64_t all) {
    if (!progress_->is_due()) return;
    progress_->show(options_.folder + ", " + what + ": " + std::to_string(done) + " of " +
                    std::to_string(all));
  }

  Json analyze(const Text& text) {
    const std::string& file = text.input.file;
    ActivationRecorder recorder(*model_, (text.num_inputs() + kRecordedTokens - 1) / kRecordedTokens);
    const TokenScores scores = score_tokens(*model_, text.input.ids, text.windows, reporting(file));
    const auto bits = text.input.bits_per_byte(scores.nll());
    Json out = {{"text", file},
                {"tokens", scores.tokens},
                {"loss", scores.nll()},
                {"bits_per_byte", bits ? Json(*bits) : Json()}};
    for (const NormActivations& norm : recorder.activations()) out["norms"].push_back(to_json(norm));
    add_sums(measured_, recorder.measured());
    return out;
  }

  Json scaled_losses(const Text& text, double loss) {
    Json out = Json::array();
    for (const Scaled what : {Scaled::kStream, Scaled::kNorms}) {
      for (const double k : scales_) {
        const ScoreOptions options = reporting(text.input.file + ", scales of " + name_of(what));
        const double scaled =
            k == 1 ? loss : scaled_loss(*model_, what, k, text.input.ids, text.windows, options);
        out.push_back(
            {{"what", name_of(what)}, {"scale", k}, {"loss", std::isfinite(scaled) ? Json(scaled) : Json()}});
      }
    }
    return out;
  }

  Json gradients() {
    const std::unique_ptr<Model> model = load_model(options_.folder);  // float32, to be differentiated
    const Text& text = texts_[0];
    Json out = Json::array();
    for (const int64_t heads : heads_) {
      const std::string what = "gradients with " + std::to_string(heads) + " heads";
      const GradientOptions options = {.batch = arguments_.options.batch, .report = reporting(what).report};
      out.push_back(to_json(gradient_variance(*model, heads, text.input.ids, text.windows, options)));
    }
    return out;
  }

  const Arguments& arguments_;
  ModelOptions options_;
  std::vector<double> scales_;
  std::vector<int64_t> heads_;
  std::unique_ptr<Model> model_;
  std::string tokenizer_;
  std::vector<Text> texts_;
  std::vector<MeasuredNorm> measured_;  // on all texts together
  std::optional<Progress> progress_;    // during run
};

void run_analyze(const Arguments& arguments) {
  std::vector<std::unique_ptr<Analysis>> all;
  for (const std::string& folder : arguments.models)
    all.push_back(std::make_unique<Analysis>(arguments, folder));
  Json models = Json::array();
  for (const auto& analysis : all) {
    models.push_back(analysis->run());
    std::printf("%s%s", models.size() > 1 ? "\n" : "", analysis_tables(models.back()).c_str());
  }
  write_json(arguments.json, {{"models", models}});
}

}  // namespace

void add_analyze(CLI::App& app) {
  const auto arguments = std::make_shared<Arguments>();
  Arguments& a = *arguments;
  app.add_option("MODEL", a.models, "Folders of models, as Hugging Face writes them, or checkpoints")
      ->required();
  app.add_option("--text", a.texts, "A text file, read as one document; may be given several times")
      ->required()
      ->allow_extra_args(false)
      ->type_name("FILE");
  add_reading_options(app, a.model);
  app.add_option("--scales", a.scales, "Scales of the activations at which the loss is measured")
      ->capture_default_str()
      ->type_name("LIST");
  app.add_option(
         "--gradient-heads", a.gradient_heads,
         "Measure the variance of the gradients on the first text with these numbers of heads, as in 1,2,4")
      ->type_name("LIST");
  app.add_option("--dynamic-share", a.share,
                 "The size of alpha u relative to gamma for which the plan proposes alpha")
      ->check(CLI::PositiveNumber)
      ->capture_default_str()
      ->type_name("SHARE");
  app.add_option("--context", a.context, "Number of tokens in a window; default: the model's context")
      ->check(at_least(1))
      ->type_name("N");
  app.add_option("--limit", a.limit, "Use only the first N windows of each text")
      ->check(at_least(1))
      ->type_name("N");
  app.add_option("--batch", a.options.batch, "Number of windows in one pass, and in a batch for gradients")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str()
      ->type_name("N");
  add_json_option(app, a.json);
  app.callback([arguments] { run_analyze(*arguments); });
}

}  // namespace seednorm::lab

// seednorm score
#include "lab/language/eval/score.h"

#include <cmath>
#include <cstdio>

#include "lab/base/error.h"
#include "lab/base/progress.h"
#include "lab/cli/checks.h"
#include "lab/cli/model_options.h"
#include "lab/cli/text_input.h"
#include "lab/cli/verb.h"

namespace seednorm::lab {
namespace {

struct Arguments {
  ModelOptions model;
  std::string text, tokens, json;
  int64_t context = 0, stride = 0;
  bool chunks = false;
  ScoreOptions options;
};

TextInput read_input(const Arguments& a, const Model& model) {
  const std::string& folder = a.model.folder;
  if (!a.text.empty()) return read_text_input(a.text, load_tokenizer(folder, a.model.tokenizer, model));
  return read_token_input(a.tokens, find_tokenizer(folder, a.model.tokenizer, model),
                          model.config().vocab_size);
}

std::vector<Window> windows_of(const Arguments& arguments, const TextInput& input, int64_t model_context) {
  const int64_t context = arguments.context > 0 ? arguments.context : model_context;
  const int64_t stride = arguments.stride > 0 ? arguments.stride : context;
  const auto count = static_cast<int64_t>(input.ids.size());
  if (context > model_context) {
    throw UserError("--context: the model's context is " + std::to_string(model_context) + " tokens, got " +
                    std::to_string(context));
  }
  if (stride > context) {
    throw UserError("--stride: expected at most the context of " + std::to_string(context) + " tokens, got " +
                    std::to_string(stride));
  }
  const int64_t least = arguments.chunks ? std::max<int64_t>(context, 2) : 2;
  if (count < least) {
    throw UserError(input.file + ": has " + std::to_string(count) + " tokens; scoring it needs " +
                    std::to_string(least) + " or more");
  }
  if (arguments.chunks && context < 2) throw UserError("--context: expected 2 tokens or more for --chunks");
  return arguments.chunks ? chunks(count, context) : sliding_windows(count, context, stride);
}

TokenScores score_with_progress(Model& model, const TextInput& input, const std::vector<Window>& windows,
                                ScoreOptions options) {
  Progress progress;
  options.report = [&](int64_t done, int64_t all) {
    if (!progress.is_due()) return;
    const double left = progress.seconds() * (static_cast<double>(all) / static_cast<double>(done) - 1);
    char line[100];
    std::snprintf(line, sizeof line, "%lld of %lld windows, %.0f s left", static_cast<long long>(done),
                  static_cast<long long>(all), left);
    progress.show(line);
  };
  return score_tokens(model, input.ids, windows, options);
}

void run_score(const Arguments& arguments) {
  const std::unique_ptr<Model> model = arguments.model.load();
  const TextInput input = read_input(arguments, *model);
  const std::vector<Window> windows = windows_of(arguments, input, model->config().context);
  const TokenScores scores = score_with_progress(*model, input, windows, arguments.options);
  const double nll = scores.nll(), ppl = std::exp(nll);
  nlohmann::json json = {{"tokens", scores.tokens}, {"nll", nll}, {"ppl", ppl}, {"bits_per_byte", nullptr}};
  std::printf("%s: %lld of %zu tokens predicted\n", input.file.c_str(), static_cast<long long>(scores.tokens),
              input.ids.size());
  std::printf("loss          %.6f nats per token\nperplexity    %.6g\n", nll, ppl);
  if (const auto bits = input.bits_per_byte(nll)) {
    json["bits_per_byte"] = *bits;
    std::printf("bits per byte %.6f\n", *bits);
  }
  json["token_logprobs"] = scores.log_probs;  // NaN becomes null
  write_json(arguments.json, json);
}

}  // namespace

void add_score(CLI::App& app) {
  const auto arguments = std::make_shared<Arguments>();
  add_model_options(app, arguments->model);
  auto* input = app.add_option_group("input", "The text to score")->require_option(1);
  input->add_option("--text", arguments->text, "A text file, read as one document")->type_name("FILE");
  input->add_option("--tokens", arguments->tokens, "A JSON list of token ids")->type_name("FILE");
  app.add_option("--context", arguments->context,
                 "Number of tokens in a window; default: the model's context")
      ->check(at_least(1))
      ->type_name("N");
  auto* stride =
      app.add_option("--stride", arguments->stride,
                     "Number of tokens between the starts of windows; default: the context. Every token "
                     "but the first is predicted once, by the first window that reaches it")
          ->check(at_least(1))
          ->type_name("N");
  app.add_flag(
         "--chunks", arguments->chunks,
         "Cut the text into chunks that share no token, as OLMo's evaluator does: the first token of each "
         "chunk (null in token_logprobs) and a last, incomplete chunk are not predicted")
      ->excludes(stride);
  app.add_option("--batch", arguments->options.batch, "Number of windows in one pass")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str()
      ->type_name("N");
  add_json_option(app, arguments->json);
  app.callback([arguments] { run_score(*arguments); });
}

}  // namespace seednorm::lab

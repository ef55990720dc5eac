// seednorm generate
#include "lab/language/generate/generate.h"

#include <unistd.h>

#include <cstdio>
#include <sstream>

#include "lab/base/error.h"
#include "lab/base/file.h"
#include "lab/base/utf8.h"
#include "lab/cli/checks.h"
#include "lab/cli/model_options.h"
#include "lab/cli/verb.h"

namespace seednorm::lab {
namespace {

constexpr size_t kMaxPromptBytes = size_t{64} << 20;

struct Arguments {
  ModelOptions model{.dtype = "stored"};
  std::string prompt, prompts_file, json;
  GenerateOptions options;
};

// The lines of the file, or the single prompt of --prompt.
std::vector<std::string> prompts_of(const Arguments& a) {
  std::vector<std::string> out;
  if (a.prompts_file.empty()) {
    out.push_back(a.prompt);
  } else {
    const std::string bytes = read_file(a.prompts_file, kMaxPromptBytes);
    std::istringstream lines{std::string(without_byte_order_mark(bytes))};
    for (std::string line; std::getline(lines, line);) {
      if (line.ends_with('\r')) line.pop_back();
      if (!line.empty()) out.push_back(line);
    }
    if (out.empty()) throw UserError(a.prompts_file + ": has no prompts; expected one on each line");
  }
  for (size_t i = 0; i < out.size(); ++i) {
    if (valid_utf8_size(out[i]) != out[i].size()) {
      throw UserError("prompt " + std::to_string(i + 1) + ": is not UTF-8: " + quote(out[i]));
    }
  }
  return out;
}

// A terminal must not interpret a model's text as control sequences.
void print(std::string_view text) {
  static const bool is_terminal = ::isatty(STDOUT_FILENO) == 1;
  if (!is_terminal) {
    std::fwrite(text.data(), 1, text.size(), stdout);
  } else {
    for (const char c : text) {
      const bool command = (c >= 0 && c < ' ' && c != '\n' && c != '\t') || c == '\x7f';
      std::fputc(command ? '?' : c, stdout);
    }
  }
  std::fflush(stdout);
}

nlohmann::json to_json(const std::vector<std::string>& prompts, const GenerateResult& result) {
  nlohmann::json list = nlohmann::json::array();
  int64_t prompt_tokens = 0, tokens = 0;
  for (size_t i = 0; i < prompts.size(); ++i) {
    const Generation& g = result.generations[i];
    list.push_back({{"prompt", prompts[i]},
                    {"text", g.text},
                    {"tokens", g.tokens},
                    {"prompt_tokens", g.prompt_tokens},
                    {"finish", name_of(g.finish)}});
    prompt_tokens += g.prompt_tokens;
    tokens += static_cast<int64_t>(g.tokens.size());
  }
  return {{"generations", list},
          {"prompt_tokens", prompt_tokens},
          {"tokens", tokens},
          {"prompt_seconds", result.prompt_seconds},
          {"token_seconds", result.token_seconds}};
}

void run_generate(const Arguments& a) {
  const std::vector<std::string> prompts = prompts_of(a);
  a.model.use_machine();
  const TextModel model = load_text_model(a.model.folder, a.model.tokenizer, a.model.activations());
  // A single text appears while it is generated; several, which are generated at once, follow each other.
  bool begun = false;
  const GenerateResult result = generate(model, prompts, a.options, [&](size_t, std::string_view text) {
    if (prompts.size() > 1) return;
    print(begun ? std::string(text) : prompts[0] + std::string(text));
    begun = true;
  });
  if (prompts.size() == 1) {
    print((begun ? "" : prompts[0]) + "\n");
  } else {
    for (size_t i = 0; i < prompts.size(); ++i) {
      print((i == 0 ? "" : "\n") + prompts[i] + result.generations[i].text + "\n");
    }
  }
  write_json(a.json, to_json(prompts, result));
}

}  // namespace

void add_generate(CLI::App& app) {
  const auto arguments = std::make_shared<Arguments>();
  Arguments& a = *arguments;
  SamplingConfig& sampling = a.options.sampling;
  add_model_options(app, a.model);
  auto* prompts = app.add_option_group("prompts")->require_option(1);
  prompts->add_option("--prompt", a.prompt, "The text to continue; \"\" starts a document")
      ->type_name("TEXT");
  prompts->add_option("--prompts", a.prompts_file, "A file with a prompt on each line")->type_name("FILE");
  app.add_option("--max-tokens", a.options.max_tokens, "Maximum number of tokens to generate for each prompt")
      ->check(at_least(1))
      ->capture_default_str()
      ->type_name("N");
  app.add_option("--temperature", sampling.temperature,
                 "Divisor of the logits; 0 always takes the most likely token")
      ->capture_default_str()
      ->type_name("T");
  app.add_option("--top-k", sampling.top_k, "Sample from the K most likely tokens only; 0 samples from all")
      ->capture_default_str()
      ->type_name("K");
  app.add_option("--top-p", sampling.top_p,
                 "Sample from the most likely tokens with a total probability of P")
      ->capture_default_str()
      ->type_name("P");
  app.add_option("--seed", sampling.seed, "Random seed, shared by all prompts")
      ->capture_default_str()
      ->type_name("S");
  app.add_option("--stop", a.options.stop,
                 "A text that ends the generation and is not printed; may be given several times")
      ->check([](const std::string& text) { return text.empty() ? "is empty" : std::string(); })
      ->allow_extra_args(false)
      ->type_name("TEXT");
  app.add_option("--batch", a.options.batch,
                 "Number of prompts to continue at once; the texts do not depend on it")
      ->check(CLI::Range(int64_t{1}, kMaxBatch))
      ->capture_default_str()
      ->type_name("N");
  add_json_option(app, a.json);
  app.callback([arguments] { run_generate(*arguments); });
}

}  // namespace seednorm::lab

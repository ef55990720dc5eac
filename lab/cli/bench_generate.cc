// seednorm bench generate
#include <ATen/Parallel.h>

#include <cstdio>
#include <numeric>

#include "lab/base/median.h"
#include "lab/base/parallel.h"
#include "lab/base/stopwatch.h"
#include "lab/cli/checks.h"
#include "lab/cli/recipe_options.h"
#include "lab/cli/verb.h"
#include "lab/language/generate/generate.h"
#include "lab/nn/cpu/machine_products.h"

namespace seednorm::lab {
namespace {

struct Arguments {
  RecipeOptions recipe;
  std::string model, dtype = "float32", json;
  int64_t prompt_tokens = 32, tokens = 128, rounds = 3, threads = 0;
};

TextModel load(const Arguments& a) {
  const at::ScalarType dtype = a.dtype == "bfloat16" ? at::kBFloat16 : at::kFloat;
  TextModel out = {.model = nullptr, .tokenizer = Tokenizer::bytes(), .eos_ids = {}};
  if (!a.model.empty()) {
    out.model = load_text_model(a.model, "byte", dtype).model;
  } else {
    const Recipe recipe = a.recipe.load();
    ModelConfig config = language_config_of(recipe).model;
    if (config.vocab_size == 0) config.vocab_size = out.tokenizer.vocab_size();
    out.model = std::make_unique<Model>(config, static_cast<uint64_t>(recipe.train.seed));
    cast_weights(*out.model, dtype);
  }
  out.model->set_dtype(dtype);
  return out;
}

// The weights that one token needs: all except the other rows of the embedding (unless it is tied, and
// thus also the head), and only the experts that the token is routed to. Reading them is the minimal cost.
struct WeightsOfToken {
  std::vector<at::Tensor> tensors;
  double bytes = 0;
};
WeightsOfToken weights_of_token(const Model& model) {
  WeightsOfToken out;
  const ModelConfig& c = model.config();
  for (const ParamInfo& p : model.params()) {
    if (p.role == Role::kEmbedding && !c.tied) continue;
    if (p.role != Role::kEmbedding && p.role != Role::kMatrix) continue;
    const bool experts = p.tensor.dim() == 3;
    out.tensors.push_back(experts ? p.tensor.detach().narrow(0, 0, c.top_k) : p.tensor.detach());
    out.bytes += static_cast<double>(out.tensors.back().nbytes());
  }
  return out;
}

// The seconds in which all threads together read them once, doing nothing else.
double read_seconds(const WeightsOfToken& weights) {
  const Stopwatch watch;
  for (const at::Tensor& t : weights.tensors) {
    const auto* words = static_cast<const uint64_t*>(t.const_data_ptr());
    const int64_t count = static_cast<int64_t>(t.nbytes() / sizeof(uint64_t));
    std::vector<uint64_t> sums(static_cast<size_t>(at::get_num_threads()));
    parallel_for(0, count, 4096, [&](int64_t first, int64_t last) {
      sums[static_cast<size_t>(at::get_thread_num())] +=
          std::accumulate(words + first, words + last, uint64_t{0});
    });
    if (std::accumulate(sums.begin(), sums.end(), uint64_t{0}) == 1) std::fputs("", stderr);  // uses the sum
  }
  return watch.seconds();
}

void run_bench(const Arguments& a) {
  if (a.threads > 0) at::set_num_threads(static_cast<int>(a.threads));
  set_product_choice(machine_product_choice());
  const TextModel model = load(a);
  const at::NoGradGuard no_grad;
  const std::vector<std::string> prompts = {std::string(static_cast<size_t>(a.prompt_tokens), 'x')};
  GenerateOptions options = {.sampling = {.temperature = 0}, .max_tokens = 4};
  const auto run = [&] { return generate(model, prompts, options, [](size_t, std::string_view) {}); };
  const WeightsOfToken weights = weights_of_token(*model.model);
  run();
  read_seconds(weights);
  options.max_tokens = a.tokens;
  std::vector<double> total, prompt, token, read;
  for (int64_t round = 0; round < a.rounds; ++round) {
    const GenerateResult result = run();
    prompt.push_back(result.prompt_seconds);
    token.push_back(result.token_seconds);
    total.push_back(result.prompt_seconds + result.token_seconds);
    read.push_back(read_seconds(weights));
  }
  const auto tokens = static_cast<double>(a.tokens);
  const double per_token = median(token) / (tokens - 1);  // the pass over the prompt yields the first
  const double of_limit = median(read) / per_token;
  std::printf("%s, %d threads: %.1f tokens/s with the prompt (%.1f ms), %.2f ms per token\n", a.dtype.c_str(),
              at::get_num_threads(), tokens / median(total), 1e3 * median(prompt), 1e3 * per_token);
  std::printf("a token reads %.1f MB of weights, which alone takes %.2f ms (%.1f GB/s): %.2f of the limit\n",
              weights.bytes / 1e6, 1e3 * median(read), weights.bytes / 1e9 / median(read), of_limit);
  write_json(a.json, {{"results",
                       {{{"impl", "seednorm"},
                         {"dtype", a.dtype},
                         {"threads", at::get_num_threads()},
                         {"prompt_tokens", a.prompt_tokens},
                         {"tokens", a.tokens},
                         {"tokens_per_s", tokens / median(total)},
                         {"prompt_ms", 1e3 * median(prompt)},
                         {"ms_per_token", 1e3 * per_token},
                         {"weight_bytes", weights.bytes},
                         {"limit_gb_per_s", weights.bytes / 1e9 / median(read)},
                         {"of_limit", of_limit}}}}});
}

}  // namespace

void add_bench_generate(CLI::App& app) {
  const auto arguments = std::make_shared<Arguments>();
  Arguments& a = *arguments;
  auto* const recipe = add_recipe_options(app, a.recipe);
  auto* const model =
      app.add_option("--model", a.model, "A model's folder, instead of a recipe with random weights")
          ->type_name("DIR");
  model->excludes(recipe);
  app.add_option("--dtype", a.dtype, "Dtype of weights and activations")
      ->check(CLI::IsMember({"float32", "bfloat16"}))
      ->capture_default_str()
      ->type_name("DTYPE");
  for (const auto& [name, value, help] :
       {std::tuple{"--prompt-tokens", &a.prompt_tokens, "Number of tokens in the prompt"},
        {"--tokens", &a.tokens, "Number of tokens to generate, 2 or more"},
        {"--rounds", &a.rounds, "Number of measurements, whose medians are reported"},
        {"--threads", &a.threads, "Number of threads; 0 leaves it to libtorch"}}) {
    app.add_option(name, *value, help)->check(at_least(0))->capture_default_str()->type_name("N");
  }
  add_json_option(app, a.json);
  app.callback([arguments] {
    const Arguments& a = *arguments;
    if (a.model.empty() && a.recipe.recipe.empty()) throw CLI::RequiredError("RECIPE or --model");
    if (a.tokens < 2 || a.rounds < 1 || a.prompt_tokens < 1) {
      throw CLI::ValidationError("expected 2 or more --tokens, and 1 or more --rounds and --prompt-tokens");
    }
    run_bench(a);
  });
}

}  // namespace seednorm::lab

#include "lab/language/generate/generate.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <stdexcept>

#include "lab/base/error.h"
#include "lab/base/interrupt.h"
#include "lab/base/stopwatch.h"
#include "lab/language/generate/text_stream.h"

namespace seednorm::lab {
namespace {

using at::Tensor;

std::vector<int64_t> encode(const TextModel& model, const std::vector<std::string>& prompts, size_t index) {
  const std::vector<int32_t> ids = model.tokenizer.encode(prompts[index]);
  const std::string where = "prompt " + std::to_string(index + 1);
  const int64_t context = model.model->config().context;
  if (static_cast<int64_t>(ids.size()) >= context) {
    throw UserError(where + ": has " + std::to_string(ids.size()) + " tokens, the model's context is " +
                    std::to_string(context) + "; shorten it");
  }
  if (!ids.empty()) return {ids.begin(), ids.end()};
  const auto eos = model.tokenizer.eos_id();
  if (!eos)
    throw UserError(where + ": is empty, and the tokenizer has no token with which to start a document");
  return {*eos};
}

// One prompt and its continuation.
struct Sequence {
  size_t index;  // of the prompt
  std::vector<int64_t> prompt;
  Sampler sampler;
  TextStream text;
  Generation* out;
  bool done = false;
};

class Batch {
 public:
  Batch(const TextModel& model, const GenerateOptions& options, const OnText& on_text)
      : model_(model),
        options_(options),
        on_text_(on_text),
        ids_(at::TensorOptions(at::kLong).device(model.model->head().device())) {}

  void add(size_t index, std::vector<int64_t> prompt, Generation* out) {
    out->prompt_tokens = static_cast<int64_t>(prompt.size());
    sequences_.push_back({index, std::move(prompt), Sampler(options_.sampling),
                          TextStream(model_.tokenizer, options_.stop), out});
  }

  // Adds to the times of `result`.
  void run(GenerateResult& result) {
    const Stopwatch prompts;
    KvCache cache = prefill();
    result.prompt_seconds += prompts.seconds();
    const Stopwatch tokens;
    for (drop_done(cache); !sequences_.empty(); drop_done(cache)) step(cache);
    result.token_seconds += tokens.seconds();
  }

 private:
  // Processes each prompt alone, so that its result does not depend on the lengths of the others.
  KvCache prefill() {
    size_t longest = 0;
    for (const Sequence& s : sequences_) longest = std::max(longest, s.prompt.size());
    // At most the context, even for the largest max_tokens.
    const int64_t prompt = static_cast<int64_t>(longest), context = model_.model->config().context;
    const int64_t capacity = prompt + std::min(options_.max_tokens, context - prompt);
    std::vector<KvCache> caches;
    for (Sequence& s : sequences_) {
      check_interrupt();
      caches.push_back(model_.model->make_cache(1, capacity));
      const Tensor hidden = model_.model->hidden(at::tensor(s.prompt, ids_).unsqueeze(0), caches.back());
      accept(s, model_.model->project(hidden.narrow(1, hidden.size(1) - 1, 1)));
    }
    return caches.size() == 1 ? std::move(caches[0]) : KvCache::join(caches);
  }

  // Generates one token for each sequence.
  void step(KvCache& cache) {
    check_interrupt();
    std::vector<int64_t> last;
    for (const Sequence& s : sequences_) last.push_back(s.out->tokens.back());
    const Tensor logits =
        model_.model->project(model_.model->hidden(at::tensor(last, ids_).unsqueeze(1), cache)).cpu();
    for (size_t i = 0; i < sequences_.size(); ++i) {
      accept(sequences_[i], logits.narrow(0, static_cast<int64_t>(i), 1));
    }
  }

  // Draws the next token from logits [1, 1, V].
  void accept(Sequence& s, const Tensor& logits) {
    const Tensor row = logits.cpu().contiguous();
    const int32_t id = s.sampler.next({row.const_data_ptr<float>(), static_cast<size_t>(row.numel())});
    s.out->tokens.push_back(id);
    const auto is_eos = std::find(model_.eos_ids.begin(), model_.eos_ids.end(), id) != model_.eos_ids.end();
    if (is_eos) return finish(s, Finish::kEos);
    emit(s, s.text.push(id));
    const auto count = static_cast<int64_t>(s.out->tokens.size());
    if (s.text.stopped()) return finish(s, Finish::kStop);
    if (count == options_.max_tokens) return finish(s, Finish::kLength);
    if (s.out->prompt_tokens + count >= model_.model->config().context) finish(s, Finish::kContext);
  }

  void finish(Sequence& s, Finish why) {
    emit(s, s.text.finish());
    s.out->finish = s.text.stopped() ? Finish::kStop : why;
    s.done = true;
  }

  void emit(const Sequence& s, const std::string& text) {
    s.out->text += text;
    if (!text.empty()) on_text_(s.index, text);
  }

  void drop_done(KvCache& cache) {
    std::vector<int64_t> rows;
    for (size_t i = 0; i < sequences_.size(); ++i) {
      if (!sequences_[i].done) rows.push_back(static_cast<int64_t>(i));
    }
    if (rows.size() == sequences_.size()) return;
    std::erase_if(sequences_, [](const Sequence& s) { return s.done; });
    if (!rows.empty()) cache = cache.select(rows);
  }

  const TextModel& model_;
  const GenerateOptions& options_;
  const OnText& on_text_;
  at::TensorOptions ids_;  // on the model's device
  std::vector<Sequence> sequences_;
};

}  // namespace

const char* name_of(Finish finish) {
  constexpr const char* kNames[] = {"length", "context", "eos", "stop"};
  return kNames[static_cast<int>(finish)];
}

GenerateResult generate(const TextModel& model, const std::vector<std::string>& prompts,
                        const GenerateOptions& options, const OnText& on_text) {
  options.sampling.check();
  if (options.max_tokens < 1) throw std::invalid_argument("max_tokens: expected 1 or more");
  if (options.batch < 1 || options.batch > kMaxBatch) {
    throw std::invalid_argument("batch: expected 1 to " + std::to_string(kMaxBatch));
  }
  const at::NoGradGuard no_grad;
  std::vector<std::vector<int64_t>> encoded;  // all of them first: a bad one is found before any work
  for (size_t i = 0; i < prompts.size(); ++i) encoded.push_back(encode(model, prompts, i));
  GenerateResult result;
  result.generations.resize(prompts.size());
  for (size_t first = 0; first < prompts.size(); first += static_cast<size_t>(options.batch)) {
    Batch batch(model, options, on_text);
    for (size_t i = first; i < std::min(first + static_cast<size_t>(options.batch), prompts.size()); ++i) {
      batch.add(i, std::move(encoded[i]), &result.generations[i]);
    }
    batch.run(result);
  }
  return result;
}

}  // namespace seednorm::lab

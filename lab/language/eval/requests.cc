#include "lab/language/eval/requests.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "lab/base/error.h"
#include "lab/base/sha256.h"

namespace seednorm::lab {
namespace {

// Calls f(document's number, choice) for every request in order.
template <class F>
void each_request(const TaskRequests& requests, const F& f) {
  for (size_t d = 0; d < requests.encoded.size(); ++d) {
    for (size_t c = 0; c < requests.encoded[d].continuations.size(); ++c) f(d, c);
  }
}

void append_ids(const Ids& ids, std::string& out) {
  for (const int32_t id : ids) out += std::to_string(id) + " ";
  out += "\n";
}

class DocumentEncoder {
 public:
  DocumentEncoder(const Tokenizer& tokenizer, const EncodeLimits& limits)
      : encoder_(tokenizer), max_continuation_(std::min(limits.model_context, kMaxInputTokens)) {}

  // Returns nothing if a continuation is longer than an input.
  std::optional<EncodedDocument> encode(const Document& document) {
    EncodedDocument out;
    for (const std::string& text : document.contexts) {
      out.contexts.push_back(ids_of(text));
      if (out.contexts.back().empty()) throw UserError(document.place + ": has no text before the choices");
    }
    for (const std::string& text : document.continuations) {
      out.continuations.push_back(ids_of(text));
      // At least one token of the context must remain, and the last token of the continuation is not an
      // input.
      const auto tokens = static_cast<int64_t>(out.continuations.back().size());
      if (tokens <= max_continuation_) continue;
      if (too_long_.empty()) {
        too_long_ = document.place + ": choice " + std::to_string(out.continuations.size()) + " has " +
                    std::to_string(tokens) + " tokens, but an input at most " +
                    std::to_string(max_continuation_);
      }
      return std::nullopt;
    }
    return out;
  }

  // The first continuation that was too long.
  const std::string& too_long() const { return too_long_; }

 private:
  Ids ids_of(const std::string& text) {
    Ids ids;
    encoder_.encode(text, ids);
    return ids;
  }

  Encoder encoder_;
  int64_t max_continuation_;
  std::string too_long_;
};

}  // namespace

int64_t num_left_out(const Ids& context, const Ids& continuation, int64_t max_tokens) {
  return std::max<int64_t>(0, static_cast<int64_t>(context.size() + continuation.size()) - 1 - max_tokens);
}

int64_t TaskRequests::num_requests() const {
  int64_t count = 0;
  for (const EncodedDocument& d : encoded) count += static_cast<int64_t>(d.continuations.size());
  return count;
}

int64_t TaskRequests::num_cut() const {
  int64_t count = 0;
  each_request(*this, [&](size_t d, size_t c) {
    count += num_left_out(encoded[d].context(c), encoded[d].continuations[c], max_tokens) > 0 ? 1 : 0;
  });
  return count;
}

std::string TaskRequests::fingerprint() const {
  Sha256 sha;
  sha.update(task.name + " " + std::to_string(max_tokens) + "\n");
  for (size_t d = 0; d < encoded.size(); ++d) {
    std::string text = std::to_string(documents[d].gold) + "\n";
    for (const Ids& ids : encoded[d].contexts) append_ids(ids, text);
    for (const Ids& ids : encoded[d].continuations) append_ids(ids, text);
    sha.update(text);
  }
  return sha.hex();
}

TaskRequests prepare_task(const Task& task, const DataFolder& folder, const Tokenizer& tokenizer,
                          const EncodeLimits& limits) {
  TaskRequests out{.task = task,
                   .documents = task.read(folder),
                   .max_tokens = std::min(kMaxInputTokens, limits.model_context)};
  if (out.documents.empty()) throw UserError(folder.path().string() + ": " + task.name + " has no documents");
  if (limits.documents > 0 && static_cast<int64_t>(out.documents.size()) > limits.documents) {
    out.documents.resize(static_cast<size_t>(limits.documents));
  }
  DocumentEncoder encoder(tokenizer, limits);
  std::vector<Document> kept;
  for (Document& document : out.documents) {
    std::optional<EncodedDocument> encoded = encoder.encode(document);
    if (!encoded) continue;
    kept.push_back(std::move(document));
    out.encoded.push_back(std::move(*encoded));
  }
  out.left_out = static_cast<int64_t>(out.documents.size() - kept.size());
  if (kept.empty()) throw UserError(encoder.too_long() + "; no document of " + task.name + " is left");
  out.documents = std::move(kept);
  return out;
}

void write_requests(const TaskRequests& requests, OutputFile& file) {
  each_request(requests, [&](size_t d, size_t c) {
    const Document& document = requests.documents[d];
    const Ids &context = requests.encoded[d].context(c), &continuation = requests.encoded[d].continuations[c];
    const int64_t left_out = num_left_out(context, continuation, requests.max_tokens);
    const auto context_tokens = static_cast<int64_t>(context.size()) - left_out;
    const nlohmann::ordered_json line = {
        {"task", requests.task.name},
        {"document", d},
        {"choice", c},
        {"gold", document.gold},
        {"metric", name_of(requests.task.metric)},
        {"context", document.context(c)},
        {"continuation", document.continuations[c]},
        {"context_ids", context},
        {"continuation_ids", continuation},
        {"context_tokens", context_tokens},
        {"input_tokens", context_tokens + static_cast<int64_t>(continuation.size()) - 1}};
    file.write(line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
  });
}

}  // namespace seednorm::lab

#include "lab/language/eval/evaluate.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <algorithm>
#include <cmath>

#include "lab/base/interrupt.h"
#include "lab/base/stopwatch.h"
#include "lab/dist/divide.h"
#include "lab/language/eval/log_probs.h"

namespace seednorm::lab {
namespace {

using at::Tensor;
using IdSpan = std::span<const int32_t>;
using Values = std::vector<std::vector<double>>;

// A continuation, and the choices of the document that equal it.
struct Branch {
  IdSpan ids;
  std::vector<size_t> choices;
};
// A context, cut to make room for its continuations, and the continuations.
struct Trunk {
  size_t document;
  IdSpan ids;
  std::vector<Branch> branches;
};

// The element of `list` with these ids, which is appended if it does not exist.
template <class T>
T& with_ids(std::vector<T>& list, const T& fresh) {
  const auto found = std::find_if(list.begin(), list.end(),
                                  [&](const T& t) { return std::ranges::equal(t.ids, fresh.ids); });
  if (found != list.end()) return *found;
  list.push_back(fresh);
  return list.back();
}

std::vector<Trunk> trunks_of(const EncodedDocument& document, size_t number, int64_t max_tokens) {
  std::vector<Trunk> out;
  for (size_t c = 0; c < document.continuations.size(); ++c) {
    const Ids &context = document.context(c), &continuation = document.continuations[c];
    const auto left_out = static_cast<size_t>(num_left_out(context, continuation, max_tokens));
    Trunk& trunk = with_ids(out, {number, IdSpan(context).subspan(left_out), {}});
    with_ids(trunk.branches, {continuation, {}}).choices.push_back(c);
  }
  return out;
}

// Packs trunks into one row without padding, so that documents need not be sorted by length.
class Pass {
 public:
  void add(const Trunk& trunk) {
    const size_t begin = tokens_.size(), last = begin + trunk.ids.size() - 1;
    tokens_.insert(tokens_.end(), trunk.ids.begin(), trunk.ids.end());
    PackedSequence sequence{.trunk = static_cast<int64_t>(trunk.ids.size())};
    for (const Branch& branch : trunk.branches) {
      // The trunk's last token predicts the branch's first; its last one predicts nothing that counts.
      rows_.push_back(static_cast<int64_t>(last));
      for (size_t i = 0; i + 1 < branch.ids.size(); ++i) {
        rows_.push_back(static_cast<int64_t>(tokens_.size()));
        tokens_.push_back(branch.ids[i]);
      }
      targets_.insert(targets_.end(), branch.ids.begin(), branch.ids.end());
      sequence.branches.push_back(static_cast<int64_t>(branch.ids.size()) - 1);
      scored_.push_back({trunk.document, branch});
    }
    if (sequence.branches.size() == 1)
      sequence = {.trunk = sequence.trunk + sequence.branches[0], .branches = {}};
    sequences_.push_back(std::move(sequence));
  }

  // Stores the sum of each branch for its choices.
  void run(Model& model, Values& out) const {
    const auto ids = at::TensorOptions(at::kLong).device(model.head().device());
    const Tensor hidden = model.hidden(at::tensor(tokens_, ids).unsqueeze(0), Packing(sequences_));
    const Tensor rows = hidden[0].index_select(0, at::tensor(rows_, ids));
    const Tensor values = log_probs(rows, model.head(), at::tensor(targets_, ids)).cpu();
    const float* next = values.const_data_ptr<float>();
    for (const Scored& s : scored_) {
      double sum = 0;
      for (size_t i = 0; i < s.branch.ids.size(); ++i) sum += *next++;
      for (const size_t choice : s.branch.choices) out[s.document][choice] = sum;
    }
  }

 private:
  struct Scored {
    size_t document;
    Branch branch;
  };

  std::vector<int64_t> tokens_;
  std::vector<PackedSequence> sequences_;
  std::vector<int64_t> rows_, targets_;  // predictions: by which token, of which
  std::vector<Scored> scored_;           // in the order of rows_
};

// Values of which each rank has computed some and left zeros for the others.
Values joined(const Group& group, Values mine) {
  std::vector<double> flat;
  for (const std::vector<double>& v : mine) flat.insert(flat.end(), v.begin(), v.end());
  const Tensor all = group.gather(at::tensor(flat, at::kDouble)).sum(0);
  const double* next = all.const_data_ptr<double>();
  for (std::vector<double>& v : mine) {
    for (double& value : v) value = *next++;
  }
  return mine;
}

}  // namespace

Values log_likelihoods(Model& model, const TaskRequests& requests, const EvalOptions& options) {
  const at::NoGradGuard no_grad;
  Values out;
  for (const EncodedDocument& d : requests.encoded) out.emplace_back(d.continuations.size());
  const int64_t all = requests.num_requests();
  int64_t done = 0, passes = 0;
  options.group->together([&] {
    for (size_t next = 0; next < requests.encoded.size();) {
      check_interrupt();
      Pass pass;
      const int64_t until = done + options.batch;
      for (; next < requests.encoded.size() && done < until; ++next) {
        for (const Trunk& trunk : trunks_of(requests.encoded[next], next, requests.max_tokens)) {
          pass.add(trunk);
        }
        done += static_cast<int64_t>(requests.encoded[next].continuations.size());
      }
      if (passes++ % options.group->size() == options.group->rank()) pass.run(model, out);
      options.report(done, all);
    }
  });
  return options.group->size() == 1 ? out : joined(*options.group, std::move(out));
}

TaskResult evaluate(Model& model, const TaskRequests& requests, const EvalOptions& options) {
  const Stopwatch watch;
  const Values values = log_likelihoods(model, requests, options);
  TaskResult out{.metric = requests.task.metric,
                 .scores = score(requests.documents, values),
                 .groups = score_groups(requests.documents, values),
                 .requests = requests.num_requests(),
                 .cut = requests.num_cut(),
                 .left_out = requests.left_out,
                 .source = requests.documents.front().source};
  out.value = out.scores.value(out.metric);
  out.standard_error = out.scores.standard_error(out.metric);
  if (!out.groups.empty()) {
    double sum = 0, squares = 0;
    for (const auto& [name, scores] : out.groups) {
      sum += scores.value(out.metric);
      squares += std::pow(scores.standard_error(out.metric), 2);
    }
    out.value = sum / static_cast<double>(out.groups.size());
    out.standard_error = std::sqrt(squares) / static_cast<double>(out.groups.size());
  }
  out.seconds = watch.seconds();
  return out;
}

SetResult evaluate(Model& model, const PerplexitySet& set, const EvalOptions& options) {
  const at::NoGradGuard no_grad;
  const Stopwatch watch;
  const int64_t length = set.chunk_tokens(), chunks = set.num_chunks();
  int64_t done = 0;
  const auto loss_of_pass = [&](int64_t pass) {
    check_interrupt();
    const int64_t first = pass * options.batch, count = std::min(options.batch, chunks - first);
    Tensor ids = at::empty({count, length}, at::kLong);
    for (int64_t i = 0; i < count; ++i) {
      set.read_chunk(first + i, {ids.mutable_data_ptr<int64_t>() + i * length, static_cast<size_t>(length)});
    }
    ids = ids.to(model.head().device());
    const Tensor hidden = model.hidden(ids.narrow(1, 0, length - 1));
    const Tensor targets = ids.narrow(1, 1, length - 1).flatten();
    const Tensor values = log_probs(hidden.flatten(0, 1), model.head(), targets);
    done = std::min(done + count * options.group->size(), chunks);  // about as many on the other ranks
    options.report(done, chunks);
    return -values.sum(at::kDouble).item<double>();
  };
  const int64_t passes = (chunks + options.batch - 1) / options.batch;
  SetResult out{.tokens = chunks * (length - 1), .chunks = chunks};
  // All chunks have the same length, so the mean of their means is the mean over all tokens.
  out.loss = sum_of_parts(*options.group, passes, loss_of_pass) / static_cast<double>(out.tokens);
  out.perplexity = std::exp(out.loss);
  out.seconds = watch.seconds();
  return out;
}

}  // namespace seednorm::lab

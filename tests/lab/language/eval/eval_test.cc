// What a model makes of tasks and texts, against one plain forward pass for each request.
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include <cmath>

#include "lab/language/eval/evaluate.h"
#include "lab/language/eval/log_probs.h"
#include "lab/language/eval/score.h"
#include "tests/lab/language/small_model.h"
#include "tests/lab/support.h"

namespace seednorm::lab {
namespace {

using at::Tensor;
using nlohmann::json;

// Sums of the same float32 numbers in another order, a few hundred in each of a few layers: their roundings
// of 6e-8 average out to less than this share of the largest value. bfloat16 rounds 2^16 times as coarsely.
constexpr double kFloatError = 1e-5;

ModelConfig small(const std::string& family) {
  ModelConfig c = small_model(family);
  c.vocab_size = 257;  // bytes
  c.context = 96;
  return c;
}

double error(const Tensor& got, const Tensor& want) {
  return ((got - want).abs().max() / want.abs().max()).item<double>();
}

std::vector<int64_t> some_ids(int64_t count, int64_t seed) {
  std::vector<int64_t> out;
  for (int64_t i = 0; i < count; ++i) out.push_back((i * i * 7 + i * 13 + seed * 31) % 257);
  return out;
}

// log p of each token but the first, from one plain pass.
std::vector<double> plain_log_probs(Model& model, const std::vector<int64_t>& ids) {
  const at::NoGradGuard no_grad;
  const Tensor inputs = at::tensor(ids, at::kLong).slice(0, 0, -1).unsqueeze(0);
  const Tensor all = at::log_softmax(model.logits(inputs)[0].to(at::kDouble), 1);
  std::vector<double> out;
  for (size_t i = 1; i < ids.size(); ++i)
    out.push_back(all[static_cast<int64_t>(i) - 1][ids[i]].item<double>());
  return out;
}

class Families : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Models, Families, testing::ValuesIn(family_names()),
                         [](const auto& i) { return i.param; });

TEST_P(Families, PackedSequencesAreAsIfAlone) {
  Model model(small(GetParam()), 1);
  const at::NoGradGuard no_grad;
  const std::vector<PackedSequence> sequences = {
      {9, {4, 1, 0, 12}}, {1, {}}, {30, {}}, {1, {5, 2}}, {20, {3}}};
  std::vector<int64_t> packed;
  std::vector<std::pair<std::vector<int64_t>, int64_t>> alone;  // a trunk with one branch, where that begins
  std::vector<int64_t> begins;                                  // and where it begins in the row
  for (size_t s = 0; s < sequences.size(); ++s) {
    const std::vector<int64_t> trunk = some_ids(sequences[s].trunk, static_cast<int64_t>(s));
    begins.push_back(static_cast<int64_t>(packed.size()));
    alone.emplace_back(trunk, 0);
    packed.insert(packed.end(), trunk.begin(), trunk.end());
    for (const int64_t size : sequences[s].branches) {
      std::vector<int64_t> branch = some_ids(size, size + 100);
      begins.push_back(static_cast<int64_t>(packed.size()));
      packed.insert(packed.end(), branch.begin(), branch.end());
      branch.insert(branch.begin(), trunk.begin(), trunk.end());
      alone.emplace_back(branch, sequences[s].trunk);
    }
  }
  const Tensor all = model.hidden(at::tensor(packed, at::kLong).unsqueeze(0), Packing(sequences));
  for (size_t i = 0; i < alone.size(); ++i) {
    const auto& [ids, first] = alone[i];
    const auto count = static_cast<int64_t>(ids.size()) - first;
    if (count == 0) continue;
    const Tensor want = model.hidden(at::tensor(ids, at::kLong).unsqueeze(0))[0].narrow(0, first, count);
    const double worst = error(all[0].narrow(0, begins[i], count), want);
    EXPECT_FALSE(!(worst <= kFloatError)) << "sequence " << i << ": " << worst;
  }
}

TEST(Packing, BeyondTheContext) {
  Model model(small("olmo2"), 1);
  const Tensor tokens = at::zeros({1, 100}, at::kLong);
  EXPECT_THROW(model.hidden(tokens, Packing(std::vector<PackedSequence>{{90, {10}}})), std::invalid_argument);
}

TEST(LogProbs, AreThoseOfAllLogits) {
  at::manual_seed(1);
  constexpr int64_t kVocab = 70000, kDim = 64;  // three parts of kLogitBytes / 4 / 64 = 32,768
  const Tensor hidden = at::randn({5, kDim}), head = at::randn({kVocab, kDim}) * 0.3;
  const Tensor targets = at::tensor(std::vector<int64_t>{0, 32767, 32768, 65536, kVocab - 1}, at::kLong);
  const auto exact = [&](const Tensor& h, const Tensor& w) {
    const Tensor all = at::log_softmax(at::mm(h.to(at::kDouble), w.to(at::kDouble).t()), 1);
    return all.gather(1, targets.unsqueeze(1)).squeeze(1);
  };
  EXPECT_FALSE(!(error(log_probs(hidden, head, targets), exact(hidden, head)) <= kFloatError));
  // Weights that are stored in bfloat16 are exact in float32; with bfloat16 data the logits are rounded to
  // it.
  const Tensor stored = head.to(at::kBFloat16), half = hidden.to(at::kBFloat16);
  EXPECT_FALSE(!(error(log_probs(hidden, stored, targets), exact(hidden, stored)) <= kFloatError));
  EXPECT_FALSE(!(error(log_probs(half, stored, targets), exact(half, stored)) <= 1.0 / 128));
}

// Questions to a model of bytes, written as the files of tasks.
class Tasks : public testing::Test {
 protected:
  TaskRequests prepare(const std::string& name, int64_t context = 96) const {
    return prepare_task(*find_task(name), DataFolder(folder_.path()), Tokenizer::bytes(),
                        {.model_context = context});
  }

  TestFolder folder_;
};

void expect_plain(Model& model, const TaskRequests& requests, int64_t batch) {
  const auto values = log_likelihoods(model, requests, {.batch = batch});
  ASSERT_EQ(values.size(), requests.encoded.size());
  for (size_t d = 0; d < values.size(); ++d) {
    const EncodedDocument& e = requests.encoded[d];
    ASSERT_EQ(values[d].size(), e.continuations.size());
    for (size_t c = 0; c < values[d].size(); ++c) {
      std::vector<int64_t> ids(
          e.context(c).begin() + num_left_out(e.context(c), e.continuations[c], requests.max_tokens),
          e.context(c).end());
      ids.insert(ids.end(), e.continuations[c].begin(), e.continuations[c].end());
      const auto all = plain_log_probs(model, ids);
      double want = 0;
      for (size_t i = 0; i < e.continuations[c].size(); ++i) want += all[all.size() - 1 - i];
      EXPECT_FALSE(!(std::fabs(values[d][c] - want) <= kFloatError * std::fabs(want)))
          << "document " << d << ", choice " << c << ": " << values[d][c] << " for " << want;
    }
  }
}

TEST_F(Tasks, LogLikelihoodsAreThoseOfSeparatePasses) {
  write(folder_ / "arc_easy.validation.jsonl",
        R"({"question": "why?", "choices": {"text": ["a", "because", "so it is", "a"]}, "answerKey": "D"}
{"question": "how long may a question be until it must lose its begin, as this one does?", "choices": {"text": ["x", "very much longer"]}, "answerKey": "1"}
{"question": "?", "choices": {"text": ["y", "z", "!"]}, "answerKey": "C"}
)");
  write(folder_ / "winogrande.validation.jsonl",
        R"({"sentence": "So _ went.", "option1": "he", "option2": "nobody", "answer": "2"})");
  for (const std::string& family : family_names()) {
    Model model(small(family), 1);
    for (const int64_t batch : {1, 3, 100}) {
      expect_plain(model, prepare("arc_easy"), batch);
      expect_plain(model, prepare("winogrande"), batch);
    }
  }
  const TaskRequests requests = prepare("arc_easy");
  EXPECT_EQ(requests.num_cut(), 1);  // the longer choice of the second question
}

TEST_F(Tasks, EqualChoicesTieAndTheFirstWins) {
  write(folder_ / "arc_easy.validation.jsonl",
        R"({"question": "q", "choices": {"text": ["same text", "b", "same text"]}, "answerKey": "C"})");
  Model model(small("olmo2"), 1);
  const auto values = log_likelihoods(model, prepare("arc_easy"), {});
  EXPECT_EQ(values[0][0], values[0][2]);
  EXPECT_EQ(evaluate(model, prepare("arc_easy"), {}).value, 0);
}

TEST_F(Tasks, ResultCounts) {
  std::string lines;
  for (int i = 0; i < 10; ++i) {
    lines += json({{"goal", std::string(static_cast<size_t>(i + 1), 'g')},
                   {"sol1", "one"},
                   {"sol2", "second"},
                   {"label", i % 2}})
                 .dump() +
             "\n";
  }
  write(folder_ / "piqa.validation.jsonl", lines);
  Model model(small("olmo2"), 1);
  std::vector<int64_t> reported;
  const EvalOptions options = {.batch = 4, .report = [&](int64_t done, int64_t all) {
                                 reported.push_back(done);
                                 EXPECT_EQ(all, 20);
                               }};
  const TaskResult result = evaluate(model, prepare("piqa"), options);
  EXPECT_EQ(reported, (std::vector<int64_t>{4, 8, 12, 16, 20}));
  EXPECT_EQ(result.scores.documents, 10);
  EXPECT_EQ(result.requests, 20);
  EXPECT_EQ(result.value, result.scores.len_norm);
  EXPECT_DOUBLE_EQ(result.standard_error, std::sqrt(result.value * (1 - result.value) / 10));
}

// A model whose weights are not numbers has no results.
TEST_F(Tasks, NanIsAnError) {
  write(folder_ / "piqa.validation.jsonl", R"({"goal": "g", "sol1": "one", "sol2": "second", "label": 0})");
  const std::vector<int64_t> ids = some_ids(200, 1);
  for (const double bad : {std::nanf(""), INFINITY}) {
    Model model(small("olmo2"), 1);
    {
      const at::NoGradGuard no_grad;
      for (const ParamInfo& p : model.params()) {
        if (p.name == "model.norm.weight") Tensor(p.tensor).fill_(bad);
      }
    }
    EXPECT_THROW(evaluate(model, prepare("piqa"), {}), NotFinite);
    EXPECT_THROW(score_tokens(model, ids, chunks(200, 90), {}), NotFinite);
    write(folder_ / "text.txt", std::string(300, 'x'));
    const PerplexitySet set(DataFolder(folder_.path()), "text", Tokenizer::bytes(), 64, 0);
    EXPECT_THROW(evaluate(model, set, {}), NotFinite);
  }
}

TEST(Windows, PredictEveryTokenOnce) {
  for (int64_t tokens = 2; tokens < 40; ++tokens) {
    for (int64_t context = 1; context < 12; ++context) {
      for (int64_t stride = 1; stride <= context; ++stride) {
        std::vector<int> times(static_cast<size_t>(tokens), 0);
        int64_t number = 0;
        for (const Window& w : sliding_windows(tokens, context, stride)) {
          EXPECT_EQ(w.begin, number++ * stride);
          EXPECT_LE(w.inputs, context);
          EXPECT_GT(w.inputs, w.skipped);
          EXPECT_GE(w.skipped, w.begin == 0 ? 0 : context - stride);
          for (int64_t i = w.skipped; i < w.inputs; ++i) ++times.at(static_cast<size_t>(w.begin + i + 1));
        }
        EXPECT_EQ(times[0], 0);
        for (int64_t i = 1; i < tokens; ++i) EXPECT_EQ(times[static_cast<size_t>(i)], 1);
      }
    }
  }
  ASSERT_EQ(chunks(29, 8).size(), 3U);
  EXPECT_EQ(chunks(29, 8)[2].begin, 16);
  EXPECT_EQ(chunks(29, 8)[2].inputs, 7);
  EXPECT_TRUE(chunks(7, 8).empty());
}

TEST(Score, IsThatOfSeparatePasses) {
  Model model(small("olmo2"), 1);
  const std::vector<int64_t> ids = some_ids(200, 3);
  const auto plain = [&](const Window& w) {
    return plain_log_probs(model, {ids.begin() + w.begin, ids.begin() + w.begin + w.inputs + 1});
  };
  for (const auto& windows : {sliding_windows(200, 96, 96), sliding_windows(200, 64, 16), chunks(200, 50)}) {
    for (const int64_t batch : {1, 3}) {
      const TokenScores scores = score_tokens(model, ids, windows, {.batch = batch});
      ASSERT_EQ(scores.log_probs.size(), 199U);
      double total = 0;
      int64_t tokens = 0;
      for (const Window& w : windows) {
        const auto want = plain(w);
        for (int64_t i = w.skipped; i < w.inputs; ++i) {
          const double got = scores.log_probs[static_cast<size_t>(w.begin + i)],
                       here = want[static_cast<size_t>(i)];
          EXPECT_FALSE(!(std::fabs(got - here) <= kFloatError * 10)) << got << " for " << here;
          total -= here;
          ++tokens;
        }
      }
      EXPECT_EQ(scores.tokens, tokens);
      EXPECT_FALSE(!(std::fabs(scores.total - total) <= kFloatError * total));
    }
  }
  const TokenScores scores = score_tokens(model, ids, chunks(200, 90), {});
  EXPECT_TRUE(std::isnan(scores.log_probs[89]));   // the second chunk's first token
  EXPECT_TRUE(std::isnan(scores.log_probs[180]));  // left over
  EXPECT_EQ(scores.tokens, 2 * 89);
}

TEST(Perplexity, IsTheMeanOverChunks) {
  const TestFolder folder;
  write(folder / "mine.txt",
        "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of");
  const PerplexitySet set(DataFolder(folder.path()), "mine", Tokenizer::bytes(), 24, 0);
  ASSERT_EQ(set.num_chunks(), 4);
  Model model(small("olmo2"), 1);
  double sum = 0;
  for (int64_t i = 0; i < 4; ++i) {
    std::vector<int64_t> chunk(24);
    set.read_chunk(i, chunk);
    for (const double value : plain_log_probs(model, chunk)) sum -= value / 23;
  }
  for (const int64_t batch : {1, 3, 8}) {
    const SetResult result = evaluate(model, set, {.batch = batch});
    EXPECT_FALSE(!(std::fabs(result.loss - sum / 4) <= kFloatError * sum / 4))
        << result.loss << " for " << sum / 4;
    EXPECT_DOUBLE_EQ(result.perplexity, std::exp(result.loss));
    EXPECT_EQ(result.tokens, 4 * 23);
  }
}

// Chunks and means of the evaluator of OLMo, on a model that is a table.
TEST(Perplexity, ChunksAreTheEvaluators) {
  SEEDNORM_NEEDS_DATA("goldens/eval/perplexity.json");
  const json golden = json::parse(read_file(data_file("goldens/eval/perplexity.json"), 1 << 20));
  const TestFolder folder;
  const int64_t length = golden["chunk_size"];
  size_t instance = 0;
  for (const auto& [name, ids] : golden["streams"].items()) {
    std::string bytes;
    for (const int id : ids) bytes += {static_cast<char>(id), '\0'};
    write(folder / (name + ".npy"), bytes);
    const PerplexitySet set(DataFolder(folder.path()), name, Tokenizer::bytes(), length, 0);
    double sum = 0;
    for (int64_t i = 0; i < set.num_chunks(); ++i, ++instance) {
      std::vector<int64_t> chunk(static_cast<size_t>(length));
      set.read_chunk(i, chunk);
      const json& want = golden["instances"].at(instance);
      EXPECT_EQ(want[0], name);
      EXPECT_EQ(want[1], json(chunk));
      for (int64_t k = 0; k + 1 < length; ++k) {
        const auto row = golden["bigram_logits"][static_cast<size_t>(chunk[static_cast<size_t>(k)])]
                             .get<std::vector<double>>();
        double total = 0;
        for (const double x : row) total += std::exp(x);
        sum += std::log(total) - row[static_cast<size_t>(chunk[static_cast<size_t>(k) + 1])];
      }
    }
    const double loss = sum / static_cast<double>(set.num_chunks() * (length - 1));
    EXPECT_NEAR(loss, golden["result"][name]["CrossEntropyLoss"].get<double>(), 1e-5);
  }
  EXPECT_EQ(instance, golden["instances"].size());
}

TEST(Results, KeptAndFound) {
  const TestFolder folder;
  const ResultStore store(folder.path() / "out");
  const TaskResult result{.metric = Metric::kLenNorm,
                          .value = 0.5,
                          .standard_error = 0.1,
                          .groups = {{"x", {.acc = 0.2, .len_norm = 0.4, .documents = 3, .questions = 1}}},
                          .requests = 12,
                          .source = "text dump"};
  const nlohmann::ordered_json task = to_json(result),
                               set = to_json(SetResult{.loss = 2, .perplexity = 7.389, .tokens = 9});
  EXPECT_EQ(task["metric"], "len_norm");
  EXPECT_EQ(task["groups"]["x"]["value"], 0.4);
  EXPECT_FALSE(store.find("mmlu_var", "abc"));
  store.keep("mmlu_var", "abc", task);
  EXPECT_EQ(*store.find("mmlu_var", "abc"), task);
  EXPECT_NE(user_error([&] { (void)store.find("mmlu_var", "other"); }).find("choose another --out"),
            std::string::npos);
  const std::string table = results_table({{"tasks", {{"mmlu_var", task}}}, {"perplexity", {{"pile", set}}}});
  for (const char* part : {"mmlu_var (text dump)", "50.00", "10.00", "40.00", "pile", "7.389"}) {
    EXPECT_NE(table.find(part), std::string::npos) << table;
  }
  write((folder.path() / "out" / "results" / "piqa.json").string(), "{\"result\"");
  EXPECT_NE(user_error([&] { (void)store.find("piqa", "abc"); }).find("piqa.json: is not valid JSON"),
            std::string::npos);
}

// A kept result whose members are of another type is refused by name, whichever member it is.
TEST(Results, EveryMemberIsChecked) {
  const TestFolder folder;
  const ResultStore store(folder.path() / "out");
  const TaskResult with_groups{
      .groups = {{"x", {.documents = 3, .questions = 1}}}, .left_out = 2, .source = "dump"};
  using Json = nlohmann::ordered_json;
  for (const Json& whole : {to_json(TaskResult()), to_json(with_groups), to_json(SetResult())}) {
    const Json flat = whole.flatten();
    for (const auto& [pointer, value] : flat.items()) {
      if (pointer.starts_with("/scores")) continue;  // nobody reads them
      Json changed = whole;
      changed[Json::json_pointer(pointer)] = Json::array();
      store.keep("piqa", "abc", changed);
      const std::string message = user_error([&] { (void)store.find("piqa", "abc"); });
      EXPECT_NE(message.find("piqa.json: result."), std::string::npos) << pointer << " " << message;
    }
    store.keep("piqa", "abc", whole);
    EXPECT_EQ(*store.find("piqa", "abc"), whole);
  }
}

TEST(Results, NamesNeedNotBeUtf8) {
  const TestFolder folder;
  const ResultStore store(folder.path() / "out");
  EXPECT_NO_THROW(store.finish({{"model", "caf\xe9"}}));
}

}  // namespace
}  // namespace seednorm::lab

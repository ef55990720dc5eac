// Tasks, their requests and their metrics: against goldens that the evaluator of OLMo gave, and on bad input.
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>

#include "lab/base/sha256.h"
#include "lab/language/data/reader.h"
#include "lab/language/eval/metrics.h"
#include "lab/language/eval/perplexity_set.h"
#include "lab/language/eval/python_text.h"
#include "lab/language/eval/requests.h"
#include "tests/lab/support.h"

namespace seednorm::lab {
namespace {

using nlohmann::json;

constexpr EncodeLimits kLarge = {.model_context = 4096};

struct NamedTokenizer {
  const char* golden;  // its name in the golden requests
  const char* name;
  std::string file() const { return data_file("tokenizers/allenai_" + std::string(name) + ".json").string(); }
};
constexpr NamedTokenizer kTokenizers[] = {{"neox", "gpt-neox-olmo-dolma-v1_5"}, {"dolma2", "dolma2"}};

std::vector<json> lines_of(const std::filesystem::path& file) {
  RecordReader reader({file.string()});
  std::vector<json> out;
  for (Record record; reader.next(record);) out.push_back(json::parse(record.bytes));
  return out;
}

// Requests as write_requests has them.
std::vector<json> requests_of(const TaskRequests& requests) {
  const TestFolder folder;
  OutputFile file(folder / "requests.jsonl");
  write_requests(requests, file);
  file.close();
  return lines_of(folder / "requests.jsonl");
}

std::string joined(const json& ids) {
  std::string out;
  for (const json& id : ids) out += (out.empty() ? "" : " ") + id.dump();
  return out;
}

std::string hash_of(const std::vector<json>& requests, const std::function<std::string(const json&)>& line) {
  Sha256 sha;
  for (const json& r : requests) sha.update(line(r));
  return sha.hex();
}

json golden(const std::string& file) {
  return json::parse(read_file(data_file("goldens/eval/" + file), size_t{1} << 26));
}

TEST(Tasks, EveryRequestOfEveryTaskIsTheEvaluators) {
  SEEDNORM_NEEDS_DATA("goldens/eval/counts.json");
  const DataFolder folder(data_file(""));
  const json counts = golden("counts.json")["tasks"];
  ASSERT_EQ(counts.size(), 9U);
  for (const NamedTokenizer& t : kTokenizers) {
    const Tokenizer tokenizer = Tokenizer::load(t.file());
    for (const auto& [name, want] : counts.items()) {
      SCOPED_TRACE(name + ", " + t.name);
      const Task* task = find_task(name);
      ASSERT_NE(task, nullptr);
      const TaskRequests made = prepare_task(*task, folder, tokenizer, kLarge);
      const std::vector<json> requests = requests_of(made);
      EXPECT_EQ(made.documents.size(), want["docs"]);
      EXPECT_EQ(made.num_requests(), want["requests"]);
      EXPECT_EQ(made.num_cut(), want["truncated_requests_" + std::string(t.name)]);
      EXPECT_EQ(name_of(task->metric), want["metric"]);
      EXPECT_EQ(hash_of(requests,
                        [](const json& r) {
                          return r["context"].get<std::string>() + "\t" +
                                 r["continuation"].get<std::string>() + "\n";
                        }),
                want["sha256_requests"]);
      EXPECT_EQ(
          hash_of(requests, [](const json& r) { return r["choice"] == 0 ? r["gold"].dump() + "\n" : ""; }),
          want["sha256_gold"]);
      EXPECT_EQ(hash_of(requests,
                        [](const json& r) {
                          return joined(r["context_ids"]) + "\t" + joined(r["continuation_ids"]) + "\n";
                        }),
                want["sha256_ids_" + std::string(t.name)]);
    }
  }
}

// Where the sums above differ, this says where.
TEST(Tasks, FirstDocumentsAreTheEvaluators) {
  SEEDNORM_NEEDS_DATA("goldens/eval/counts.json");
  const DataFolder folder(data_file(""));
  for (const NamedTokenizer& t : kTokenizers) {
    const Tokenizer tokenizer = Tokenizer::load(t.file());
    for (const Task& task : all_tasks()) {
      const auto file = data_file("goldens/eval/" + task.name + ".jsonl");
      if (!std::filesystem::exists(file)) continue;
      EncodeLimits limits = kLarge;
      limits.documents = 40;
      const TaskRequests made = prepare_task(task, folder, tokenizer, limits);
      const std::vector<json> requests = requests_of(made), wanted = lines_of(file);
      ASSERT_EQ(requests.size(), wanted.size()) << task.name;
      for (size_t i = 0; i < wanted.size(); ++i) {
        const json &r = requests[i], &w = wanted[i], &ids = w[t.golden];
        SCOPED_TRACE(task.name + ", request " + std::to_string(i));
        ASSERT_EQ(r["document"], w["doc_id"]);
        ASSERT_EQ(r["choice"], w["cont_id"]);
        ASSERT_EQ(r["gold"], w["gold"]);
        ASSERT_EQ(r["context"], w["ctx"]);
        ASSERT_EQ(r["continuation"], w["cont"]);
        ASSERT_EQ(r["context_ids"], ids["ctx_ids"]);
        ASSERT_EQ(r["continuation_ids"], ids["cont_ids"]);
        ASSERT_EQ(r["context_tokens"], ids["ctx_len"]);
        ASSERT_EQ(r["input_tokens"], ids["query_len"]);
        ASSERT_EQ(num_characters(made.documents[w["doc_id"]].continuations[w["cont_id"]]) - 1,
                  w["cont_chars"]);
      }
    }
  }
}

// For tasks whose requests the evaluator also has as files (oe_eval_tasks/TASK/rc_0shot).
TEST(Tasks, RequestFilesAgree) {
  SEEDNORM_NEEDS_DATA("tasks/requests");
  const DataFolder folder(data_file(""));
  const std::map<std::string, std::string> names = {
      {"winogrande", "winogrande"}, {"social_iqa", "socialiqa"}, {"arc_easy", "arc_easy"}};
  for (const auto& [name, file] : names) {
    const std::vector<Document> documents = find_task(name)->read(folder);
    size_t count = 0;
    for (const json& line : lines_of(data_file("tasks/requests/" + file + "/rc_0shot/requests.jsonl.gz"))) {
      if (line["doc_id"] >= 1000000) continue;  // without context, for another metric
      const Document& d = documents.at(line["doc_id"]);
      const size_t choice = line["idx"];
      ASSERT_EQ(line["request"]["context"], d.context(choice)) << name;
      ASSERT_EQ(line["request"]["continuation"], d.continuations.at(choice)) << name;
      ASSERT_EQ(line["label"], d.gold) << name;
      ++count;
    }
    size_t want = 0;
    for (const Document& d : documents) want += d.continuations.size();
    EXPECT_EQ(count, want) << name;
  }
}

TEST(Tasks, MmluInSevenWays) {
  SEEDNORM_NEEDS_DATA("tasks/jsonl/mmlu.validation.jsonl.gz");
  const DataFolder folder(data_file(""));
  const Tokenizer tokenizer = Tokenizer::load(kTokenizers[0].file());
  const TaskRequests made = prepare_task(*find_task("mmlu_var"), folder, tokenizer, kLarge);
  EXPECT_EQ(made.documents.size(), 10717U);
  EXPECT_EQ(made.num_requests(), 42868);
  EXPECT_EQ(made.num_cut(), 183);
  std::map<std::string, int64_t> groups;
  std::set<int64_t> questions;
  for (const Document& d : made.documents) {
    ++groups[d.group];
    questions.insert(d.question);
  }
  const std::map<std::string, int64_t> want = {
      {"stem", 2247}, {"humanities", 3626}, {"social_sciences", 2359}, {"other", 2485}};
  EXPECT_EQ(groups, want);
  EXPECT_EQ(questions.size(), 1531U);
  for (size_t way = 0; way < 7; ++way) {
    const std::string& context = made.documents[way].contexts[0];
    EXPECT_EQ(context.starts_with(
                  "The following are multiple choice questions (with answers) about astronomy:\n\nQ"),
              way > 0);
    size_t asked = 0;
    for (size_t at = context.find("Question: "); at != std::string::npos;
         at = context.find("Question: ", at + 1))
      ++asked;
    EXPECT_EQ(asked, way < 2 ? 1 : way);
    EXPECT_TRUE(context.ends_with("\nAnswer:"));
  }
}

TEST(Tasks, HellaSwagAsItCame) {
  SEEDNORM_NEEDS_DATA("goldens/eval/hellaswag_raw.jsonl");
  const std::vector<json> wanted = lines_of(data_file("goldens/eval/hellaswag_raw.jsonl"));
  const TestFolder folder;
  std::string lines;
  for (const json& w : wanted) lines += w["raw"].dump() + "\n";
  write(folder / "hellaswag.validation.jsonl", lines);
  const std::vector<Document> documents = find_task("hellaswag")->read(DataFolder(folder.path()));
  ASSERT_EQ(documents.size(), wanted.size());
  for (size_t i = 0; i < wanted.size(); ++i) {
    EXPECT_EQ(documents[i].contexts, std::vector<std::string>{wanted[i]["ctx"]});
    EXPECT_EQ(documents[i].continuations, wanted[i]["conts"].get<std::vector<std::string>>());
    EXPECT_EQ(documents[i].gold, wanted[i]["gold"]);
  }
}

TEST(Tasks, LongContextsLoseTheirBegin) {
  SEEDNORM_NEEDS_DATA("goldens/eval/truncation.jsonl");
  int64_t context_tokens = 0;
  for (const json& w : lines_of(data_file("goldens/eval/truncation.jsonl"))) {
    context_tokens = w["ctx_tokens"];
    const Ids context(static_cast<size_t>(context_tokens)), continuation = w["cont_ids"];
    const int64_t left_out = num_left_out(context, continuation, kMaxInputTokens);
    const auto inputs = static_cast<int64_t>(continuation.size()) - 1;
    EXPECT_EQ(context_tokens - left_out, w["ctx_len"]);
    EXPECT_EQ(context_tokens - left_out + inputs, w["query_len"]);
  }
}

double log_likelihood(const json& request) {
  double sum = 0;
  const json &logits = request["logits"], &ids = request["cont_ids"];
  for (size_t k = 0; k < ids.size(); ++k) {
    const auto row = logits[request["ctx_len"].get<size_t>() - 1 + k].get<std::vector<double>>();
    double total = 0;
    for (const double x : row) total += std::exp(x);
    sum += row[ids[k].get<size_t>()] - std::log(total);
  }
  return sum;
}

TEST(Metrics, AreTheEvaluators) {
  SEEDNORM_NEEDS_DATA("goldens/eval/scoring.json");
  const json all = golden("scoring.json");
  std::vector<Document> documents;
  std::vector<std::vector<double>> values;
  for (const json& r : all["requests"]) {
    if (r["cont_id"] == 0) {
      documents.push_back({.gold = r["gold"]});
      values.emplace_back();
    }
    // A text of as many characters and bytes; the second byte of a character is the difference.
    const size_t chars = r["cont_chars"], bytes = r["cont_bytes"];
    std::string text = " ";
    for (size_t i = 0; i < chars; ++i) text += i < bytes - chars ? "\u00e9" : "e";
    documents.back().continuations.push_back(text);
    values.back().push_back(log_likelihood(r));
  }
  const Scores scores = score(documents, values);
  const json& want = all["metrics"];
  // The goldens are of float32.
  const auto near = [](double got, const json& golden) {
    return std::fabs(got / golden["score"].get<double>() - 1) <= 1e-5;
  };
  EXPECT_TRUE(near(scores.acc, want["acc"])) << scores.acc;
  EXPECT_TRUE(near(scores.len_norm, want["len_norm"])) << scores.len_norm;
  EXPECT_TRUE(near(scores.ce_loss, want["ce_loss"])) << scores.ce_loss;
  EXPECT_TRUE(near(scores.bpb, want["bpb"])) << scores.bpb;
  EXPECT_EQ(scores.documents, 5);
  EXPECT_DOUBLE_EQ(scores.standard_error(Metric::kAcc), std::sqrt(0.6 * 0.4 / 5));
}

TEST(Metrics, GroupsAndQuestions) {
  // Two questions asked twice each, in two groups; the right choice is the first. Of equal values the first
  // counts.
  std::vector<Document> documents;
  for (int i = 0; i < 4; ++i) {
    documents.push_back(
        {.continuations = {" a", " b"}, .gold = 0, .group = i < 2 ? "x" : "y", .question = i / 2});
  }
  const std::vector<std::vector<double>> values = {{-1, -1}, {-2, -1}, {-1, -2}, {-1, -3}};
  const Scores all = score(documents, values);
  EXPECT_EQ(all.acc, 0.75);
  EXPECT_EQ(all.documents, 4);
  EXPECT_EQ(all.questions, 2);
  const auto groups = score_groups(documents, values);
  EXPECT_EQ(groups.at("x").acc, 0.5);
  EXPECT_EQ(groups.at("y").acc, 1);
  EXPECT_EQ(groups.at("y").standard_error(Metric::kAcc), 0);
}

TEST(Metrics, NanIsNoAnswer) {
  const double nan = std::nan("");
  const std::vector<Document> documents = {{.continuations = {" a", " b"}, .gold = 0}};
  for (const std::vector<double>& values : {std::vector{nan, nan}, {nan, -1.0}, {-1.0, nan}}) {
    const Scores scores = score(documents, {values});
    EXPECT_EQ(scores.acc, 0);
    EXPECT_EQ(scores.len_norm, 0);
  }
}

TEST(PythonText, Strip) {
  EXPECT_EQ(strip(" \t\n a b \u00a0\u3000\x1f"), "a b");
  EXPECT_EQ(strip(" \n"), "");
  EXPECT_EQ(strip(""), "");
}

TEST(PythonText, Capitals) {
  EXPECT_EQ(capitalize("the Lady"), "The lady");
  EXPECT_EQ(capitalize(""), "");
  EXPECT_EQ(capitalize("\u00e9T\u00c9 \u039f\u03a3"), "\u00c9t\u00e9 \u03bf\u03c2");  // a final sigma
  EXPECT_EQ(capitalize("\u00dfa"), "Ssa");
  EXPECT_EQ(lower_first("I went"), "i went");
  EXPECT_EQ(lower_first("\u00c9T\u00c9"), "\u00e9T\u00c9");
  EXPECT_EQ(replace_all("a    b", "  ", " "), "a  b");
}

// Every kind of bad line, and what the message must have.
struct BadLine {
  const char* task;
  const char* file;
  const char* line;
  const char* message;
};

class BadTask : public testing::TestWithParam<BadLine> {};

TEST_P(BadTask, SaysWhere) {
  const BadLine& bad = GetParam();
  const TestFolder folder;
  const std::string file = folder / (std::string(bad.file) + ".jsonl");
  write(file, std::string(bad.line) + "\n");
  if (std::string(bad.task) == "mmlu_var") write(folder / "mmlu.dev.jsonl", "");
  const std::string message = user_error([&] { find_task(bad.task)->read(DataFolder(folder.path())); });
  EXPECT_EQ(message, file + ":1: " + bad.message);
}

INSTANTIATE_TEST_SUITE_P(
    Lines, BadTask,
    testing::Values(
        BadLine{"piqa", "piqa.validation", R"({"goal": "g", "sol1": "a", "label": 0})", R"(has no "sol2")"},
        BadLine{"piqa", "piqa.validation", R"({"goal": "g", "sol1": "a", "sol2": "b", "label": 2})",
                "label: expected a whole number from 0 to 1, got 2"},
        BadLine{"piqa", "piqa.validation", R"({"goal": "g", "sol1": "", "sol2": "b", "label": 1})",
                "sol1: expected the text of a choice, got none"},
        BadLine{"piqa", "piqa.validation", R"([1])", "expected an object, got array"},
        BadLine{"piqa", "piqa.validation", R"({"goal": )",
                "is not valid JSON at line 1, column 10 (the file ends early)"},
        BadLine{"arc_easy", "arc_easy.validation",
                R"({"question": "q", "choices": {"text": ["a", "b"]}, "answerKey": "C"})",
                R"(answerKey: expected one of A to E or 1 to 5, for 2 choices, got "C")"},
        BadLine{"copa", "copa.validation", R"({"premise": "p.", "question": "why"})",
                R"(question: expected cause or effect, got "why")"},
        BadLine{"winogrande", "winogrande.validation",
                R"({"sentence": "no gap", "option1": "a", "option2": "b", "answer": "1"})",
                R"(sentence: expected a gap "_" and text after it, got "no gap")"},
        BadLine{"hellaswag", "hellaswag.validation", R"({"context": "A: b", "endings": ["x"], "label": 0})",
                "endings: expected 4 endings"},
        BadLine{"hellaswag", "hellaswag.validation", R"({"context": "A b", "endings": ["x"], "label": 0})",
                R"(context: expected "LABEL: TEXT", got "A b")"},
        BadLine{"mmlu_var", "mmlu.validation",
                R"({"question": "q", "subject": "cooking", "choices": ["a"], "answer": 0})",
                R"(subject: no subject of MMLU is called "cooking")"},
        BadLine{"boolq", "boolq.validation", R"({"passage": "p", "question": "q", "answer": "yes"})",
                R"(answer: expected true or false, got "yes")"}));

TEST(Tasks, MissingFile) {
  const TestFolder folder;
  for (const Task& task : all_tasks()) {
    const std::string message = user_error([&] { task.read(DataFolder(folder.path())); });
    EXPECT_TRUE(message.starts_with(folder.path().string() + ": has no ")) << message;
    EXPECT_NE(message.find(".jsonl"), std::string::npos) << message;
  }
  EXPECT_NE(user_error([&] { const DataFolder none(folder / "none"); }).find("no such folder"),
            std::string::npos);
}

// What a model with this context and vocabulary cannot be asked.
TEST(Requests, WhatDoesNotFit) {
  const TestFolder folder;
  write(folder / "piqa.validation.jsonl", R"({"goal": "g", "sol1": "long", "sol2": "b", "label": 0})");
  const DataFolder data(folder.path());
  const Tokenizer bytes = Tokenizer::bytes();
  const auto prepare = [&](int64_t context) {
    return prepare_task(*find_task("piqa"), data, bytes, {.model_context = context});
  };
  const TaskRequests tight = prepare(5);
  EXPECT_EQ(tight.max_tokens, 5);
  EXPECT_EQ(num_left_out(tight.encoded[0].contexts[0], tight.encoded[0].continuations[0], 5), 19 - 1);
  EXPECT_EQ(tight.num_cut(), 2);
  EXPECT_NE(user_error([&] { prepare(4); }).find("choice 1 has 5 tokens, but an input at most 4"),
            std::string::npos);
  // Where other documents fit, one that does not is left out and counted.
  write(folder / "piqa.validation.jsonl",
        R"({"goal": "g", "sol1": "a", "sol2": "b", "label": 1}
{"goal": "g", "sol1": "long", "sol2": "b", "label": 0}
{"goal": "h", "sol1": "a", "sol2": "b", "label": 0})");
  const TaskRequests rest = prepare(4);
  EXPECT_EQ(rest.left_out, 1);
  ASSERT_EQ(rest.documents.size(), 2U);
  ASSERT_EQ(rest.encoded.size(), 2U);
  EXPECT_TRUE(rest.documents[1].place.ends_with(":3"));
  EXPECT_EQ(prepare(5).left_out, 0);
  EXPECT_NE(prepare(5).fingerprint(), prepare(6).fingerprint());
  EXPECT_EQ(prepare(5).fingerprint(), prepare(5).fingerprint());
}

TEST(PerplexitySets, AreFoundAndCut) {
  const TestFolder folder;
  write(folder / "mine.jsonl", "{\"text\": \"abcdef\"}\n{\"text\": \"gh\"}\n");
  write(folder / "pile.txt", "0123456789");
  const DataFolder data(folder.path());
  const Tokenizer bytes = Tokenizer::bytes();
  EXPECT_TRUE(has_set(data, "mine"));
  EXPECT_TRUE(has_set(data, "pile"));
  EXPECT_FALSE(has_set(data, "c4_en"));
  EXPECT_FALSE(has_set(data, "../mine"));
  const PerplexitySet set(data, "mine", bytes, 4, 0);
  ASSERT_EQ(set.num_chunks(), 2);  // of abcdef, its end, gh, its end: the last two are left out
  std::vector<int64_t> chunk(4);
  set.read_chunk(1, chunk);
  EXPECT_EQ(chunk, (std::vector<int64_t>{'e', 'f', 256, 'g'}));
  EXPECT_EQ(PerplexitySet(data, "mine", bytes, 4, 1).num_chunks(), 1);
  EXPECT_NE(user_error([&] { const PerplexitySet s(data, "pile", bytes, 64, 0); }).find("pile has 11 tokens"),
            std::string::npos);
}

TEST(PerplexitySets, TokenFilesOfOlmo) {
  const TestFolder folder;
  std::filesystem::create_directories(folder.path() / "c4_en" / "val");
  write((folder.path() / "c4_en" / "val" / "part-0-00000.npy").string(), std::string("\1\0\2\0\3\0\4\0", 8));
  const DataFolder data(folder.path());
  const PerplexitySet set(data, "c4_en", Tokenizer::bytes(), 3, 0);
  ASSERT_EQ(set.num_chunks(), 1);
  std::vector<int64_t> chunk(3);
  set.read_chunk(0, chunk);
  EXPECT_EQ(chunk, (std::vector<int64_t>{1, 2, 3}));
  write(folder / "pile.npy", "\x93NUMPY\1\0");
  EXPECT_NE(user_error([&] {
              const PerplexitySet s(data, "pile", Tokenizer::bytes(), 3, 0);
            }).find("NumPy's header"),
            std::string::npos);
}

}  // namespace
}  // namespace seednorm::lab

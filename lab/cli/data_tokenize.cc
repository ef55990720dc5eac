// seednorm data tokenize
#include <cstdio>
#include <filesystem>
#include <thread>

#include "lab/base/progress.h"
#include "lab/cli/verb.h"
#include "lab/language/data/tokenize.h"

namespace seednorm::lab {
namespace {

struct Arguments {
  TokenizeOptions options;
  std::string tokenizer, shard_tokens = "256M", json;
};

std::string time_left(const TokenizeProgress& progress, double seconds) {
  if (progress.bytes_done == 0) return "";
  const double left =
      seconds * (static_cast<double>(progress.bytes_total) / static_cast<double>(progress.bytes_done) - 1);
  char buffer[48];
  std::snprintf(buffer, sizeof buffer, ", %.0f:%02d left", left / 60, static_cast<int>(left) % 60);
  return buffer;
}

std::string line(const TokenizeProgress& progress, double seconds) {
  char buffer[200];
  const double share =
      progress.bytes_total == 0 ? 1 : static_cast<double>(progress.bytes_done) / double(progress.bytes_total);
  std::snprintf(buffer, sizeof buffer, "%3.0f%%  %s documents, %s tokens, %.1f MB/s", 100 * share,
                with_unit(double(progress.documents)).c_str(), with_unit(double(progress.tokens)).c_str(),
                static_cast<double>(progress.text_bytes) / 1e6 / seconds);
  return buffer + time_left(progress, seconds);
}

void print(const Arguments& arguments, const TokenizeResult& result, double seconds) {
  const TokenSetInfo& info = result.info;
  std::printf("%s: %lld tokens of %lld documents in %zu shards (%s)\n", arguments.options.out.c_str(),
              static_cast<long long>(info.tokens), static_cast<long long>(info.documents), info.shards.size(),
              name_of(info.type));
  std::printf("tokenizer %s, %d tokens; unigram entropy %.4f nats per token\n", info.tokenizer.c_str(),
              info.vocab_size, info.unigram_entropy);
  std::printf("%sB of text in %.1f s, %.1f MB/s\n", with_unit(double(info.text_bytes)).c_str(), seconds,
              static_cast<double>(info.text_bytes) / 1e6 / seconds);
  if (result.empty_documents > 0) {
    std::printf("left out: %lld documents without text\n", static_cast<long long>(result.empty_documents));
  }
  if (result.altered_documents > 0) {
    std::printf("altered: %lld documents had bytes that are not UTF-8, which became U+FFFD\n",
                static_cast<long long>(result.altered_documents));
  }
}

void run_tokenize(Arguments arguments) {
  arguments.options.shard_tokens = parse_count("--shard-tokens", arguments.shard_tokens, 1, int64_t{1} << 40);
  const Tokenizer tokenizer = Tokenizer::load(arguments.tokenizer);
  double seconds = 0;
  TokenizeResult result;
  {
    Progress progress;
    result = tokenize(arguments.options, tokenizer, [&](const TokenizeProgress& now) {
      if (progress.is_due()) progress.show(line(now, progress.seconds()));
    });
    seconds = progress.seconds();
  }
  print(arguments, result, seconds);
  nlohmann::json json = result.info.to_json();
  json["out"] = arguments.options.out;
  json["seconds"] = seconds;
  json["empty_documents"] = result.empty_documents;
  json["altered_documents"] = result.altered_documents;
  write_json(arguments.json, json);
}

}  // namespace

void add_data_tokenize(CLI::App& app) {
  const auto arguments = std::make_shared<Arguments>();
  TokenizeOptions& options = arguments->options;
  options.workers = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  app.add_option("IN", options.inputs,
                 "Files or patterns: .jsonl or .json (one object per line), .txt (one document); .gz or .zst "
                 "may follow")
      ->required()
      ->type_name("");
  app.add_option("--tokenizer", arguments->tokenizer, "A tokenizer.json (byte-level BPE), or `byte`")
      ->required()
      ->type_name("FILE");
  app.add_option("--out", options.out, "The new folder for the shards")->required()->type_name("DIR");
  app.add_option("--field", options.field, "The member of each object that holds the text")
      ->capture_default_str()
      ->type_name("NAME");
  app.add_option("--workers", options.workers, "Number of threads; the result does not depend on it")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str()
      ->type_name("N");
  app.add_option("--shard-tokens", arguments->shard_tokens, "Number of tokens after which a new shard starts")
      ->capture_default_str()
      ->type_name("N");
  add_json_option(app, arguments->json);
  app.callback([arguments] { run_tokenize(*arguments); });
}

}  // namespace seednorm::lab

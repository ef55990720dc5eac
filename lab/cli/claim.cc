// seednorm claim
#include <cstdio>

#include "lab/base/error.h"
#include "lab/claims/run_claim.h"
#include "lab/cli/verb.h"

namespace seednorm::lab {
namespace {

struct Arguments {
  std::vector<std::string> words;  // names and settings
  bool list = false;
  std::string out = "claim-races", judge, text = "build/demo-text", digits = "build/demo-digits", json;
};

// "not run" for the eyes of people.
std::string words_of(Verdict verdict) { return verdict == Verdict::kNotRun ? "not run" : name_of(verdict); }

void print_table(const std::vector<Claim>& claims, const std::vector<Judgement>& judgements) {
  for (size_t i = 0; i < claims.size(); ++i) {
    std::printf("%-17s %-10s %s\n", claims[i].name.c_str(), words_of(judgements[i].verdict).c_str(),
                claims[i].statement.c_str());
  }
}

void print_claim(const Claim& claim, const Judgement& judgement) {
  std::printf("%s: %s\n", claim.name.c_str(), words_of(judgement.verdict).c_str());
  std::printf("  the paper    %s (%s: %s)\n", claim.statement.c_str(), claim.source.c_str(),
              claim.paper.c_str());
  for (const std::string& race : claim.races()) {
    std::printf("  race         %s: %s\n", race.c_str(), load_claim_race(race).about.c_str());
  }
  for (const Finding& f : judgement.findings) {
    std::printf("  %-12s %s\n", words_of(f.verdict).c_str(), f.text.c_str());
  }
  if (judgement.verdict != Verdict::kHolds) std::printf("  would decide %s\n", claim.decides.c_str());
}

void run_claim(const Arguments& arguments) {
  ClaimRun run = {arguments.out, arguments.text, arguments.digits, {}};
  std::vector<Claim> claims;
  for (const std::string& word : arguments.words) {
    if (word.find('=') != std::string::npos) {
      run.settings.push_back(word);
    } else {
      claims.push_back(load_claim(word));
    }
  }
  if (claims.empty() && !arguments.list && arguments.judge.empty())
    throw UserError("claim: expected the name of a claim, or --list, which shows all of them");
  const bool trains = !claims.empty() && !arguments.list && arguments.judge.empty();
  if (!trains && !run.settings.empty())
    throw UserError("claim: " + run.settings[0] +
                    ": settings are for races that are run, not for --list or --judge");
  if (claims.empty()) {
    for (const std::string& name : claim_names()) claims.push_back(load_claim(name));
  }
  const RaceResults results = trains                    ? run_claim_races(run, claims)
                              : arguments.judge.empty() ? built_in_results()
                                                        : read_claim_races(arguments.judge);
  std::vector<Judgement> judgements;
  nlohmann::ordered_json json = {{"claims", nlohmann::ordered_json::array()}};
  for (const Claim& claim : claims) {
    judgements.push_back(judge(claim, results));
    json["claims"].push_back(claim_json(claim, judgements.back()));
  }
  write_json(arguments.json, json);
  if (arguments.list) return print_table(claims, judgements);
  for (size_t i = 0; i < claims.size(); ++i) print_claim(claims[i], judgements[i]);
}

}  // namespace

void add_claim(CLI::App& app) {
  const auto arguments = std::make_shared<Arguments>();
  app.add_option(
         "NAME", arguments->words,
         "Claims to run and judge; key=value overrides a setting of their races, recipe=NAME the recipe")
      ->type_name("");
  app.add_flag("--list", arguments->list,
               "Show the verdicts of all claims, or of those named, without training");
  app.add_option("--judge", arguments->judge,
                 "Judge the races in this folder, DIR/RACE or DIR/RACE.json, without training")
      ->type_name("DIR");
  app.add_option("--out", arguments->out, "The folder of the races; races that were started there continue")
      ->capture_default_str()
      ->type_name("DIR");
  app.add_option("--text", arguments->text, "The folder of the text: tokens in DIR/train and DIR/valid")
      ->capture_default_str()
      ->type_name("DIR");
  app.add_option("--digits", arguments->digits,
                 "The folder of the handwritten digits, as script/digits makes it")
      ->capture_default_str()
      ->type_name("DIR");
  add_json_option(app, arguments->json);
  app.callback([arguments] { run_claim(*arguments); });
}

}  // namespace seednorm::lab

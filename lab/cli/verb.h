// The interface of the program's verbs. A verb is a file in this folder and a line in verbs.def.
#ifndef SEEDNORM_LAB_CLI_VERB_H_
#define SEEDNORM_LAB_CLI_VERB_H_

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <string>

namespace seednorm::lab {

// Each function adds the options of a verb to `app`, and a callback that does the work and throws errors
// (lab/base/error.h).
#define SEEDNORM_VERB(function, words, summary) void function(CLI::App& app);
#include "lab/cli/verbs.def"
#undef SEEDNORM_VERB

// Adds `--json FILE` for a verb that has a result.
void add_json_option(CLI::App& app, std::string& file);
// Writes the result to `file`; does nothing if the option was not given.
void write_json(const std::string& file, const nlohmann::json& result);

// The value of an option that takes a whole number, written as 5000, 1k, 2M or 1G.
int64_t parse_count(const std::string& option, const std::string& text, int64_t min, int64_t max);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_CLI_VERB_H_

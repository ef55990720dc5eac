#include "lab/cli/program.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>

#include "lab/base/error.h"
#include "lab/base/interrupt.h"
#include "lab/base/standard_streams.h"
#include "lab/base/suggest.h"
#include "lab/cli/verb.h"
#include "lab/dist/ranks_lost.h"
#include "seednorm/version.h"

namespace seednorm::lab {
namespace {

enum ExitCode { kOk = 0, kFailure = 1, kBadInput = 2, kInterrupted = 130 };

void add_verb(CLI::App& program, const std::string& words, const std::string& summary,
              void (*add)(CLI::App&)) {
  const size_t space = words.find(' ');
  CLI::App* parent = space == std::string::npos ? &program : program.get_subcommand(words.substr(0, space));
  add(*parent->add_subcommand(words.substr(space + 1), summary));
}

void add_verbs(CLI::App& program) {
#define SEEDNORM_VERB_GROUP(word, summary) program.add_subcommand(word, summary)->require_subcommand(1);
#include "lab/cli/verbs.def"
#undef SEEDNORM_VERB_GROUP
#define SEEDNORM_VERB(function, words, summary) add_verb(program, words, summary, &(function));
#include "lab/cli/verbs.def"
#undef SEEDNORM_VERB
}

// The innermost command that the arguments name: the program itself, a group or a verb.
const CLI::App& reached(const CLI::App& program) {
  const CLI::App* app = &program;
  while (!app->get_subcommands().empty()) app = app->get_subcommands().front();
  return *app;
}

std::string full_name(const CLI::App& app) {
  return app.get_parent() == nullptr ? app.get_name() : full_name(*app.get_parent()) + " " + app.get_name();
}

// One line that says why the arguments cannot be parsed.
std::string explain(const CLI::App& program, const CLI::ParseError& error) {
  const CLI::App& app = reached(program);
  const std::string help = "see " + full_name(app) + " --help";
  const std::vector<std::string> unknown = app.remaining();
  if (!unknown.empty()) {
    std::vector<std::string> known;
    const bool is_option = unknown[0].starts_with('-');
    if (is_option) {
      for (const CLI::Option* option : app.get_options()) {
        for (const std::string& name : option->get_lnames()) known.push_back("--" + name);
      }
    } else {
      for (const CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; })) {
        if (!verb->get_name().empty()) known.push_back(verb->get_name());  // a group of options has none
      }
    }
    const std::string name = unknown[0].substr(0, unknown[0].find('='));
    const char* what = is_option       ? "unknown option "
                       : known.empty() ? "unexpected argument "
                                       : "unknown verb ";
    return full_name(app) + ": " + what + quote(name) + did_you_mean(name, known) + "; " + help;
  }
  std::string text = error.what();
  std::replace(text.begin(), text.end(), '\n', ' ');
  return full_name(app) + ": " + text + "; " + help;
}

int fail(ExitCode code, std::string message) {
  std::replace(message.begin(), message.end(), '\n', ' ');
  std::fprintf(stderr, "seednorm: %s\n", message.c_str());
  return code;
}

// The message of an error of libtorch, without its place in the sources and without the stack.
std::string message_of(const c10::Error& error) {
  const std::string text = error.what_without_backtrace();
  constexpr std::string_view kAllocator = "you tried to allocate ";
  if (const size_t at = text.find(kAllocator); at != std::string::npos) {
    const double gigabytes = std::strtod(text.c_str() + at + kAllocator.size(), nullptr) / 1e9;
    char size[32];
    std::snprintf(size, sizeof size, "%.3g GB", gigabytes);
    return std::string("out of memory: cannot allocate another tensor of ") + size +
           "; choose a smaller model, batch or context";
  }
  return text.substr(0, text.find('\n'));
}

}  // namespace

int run_program(int argc, const char* const* argv) {
  catch_interrupts();
  CLI::App program("Trains, evaluates and compares normalization layers in language models", "seednorm");
  program.set_version_flag("--version", "seednorm " SEEDNORM_VERSION);
  program.require_subcommand(1);
  try {
    add_verbs(program);
    try {
      program.parse(argc, argv);
    } catch (const CLI::Success& help) {
      program.exit(help);  // prints the help or the version
    }
    flush_standard_output();
    return kOk;
  } catch (const CLI::ParseError& error) {
    const std::string message = explain(program, error);
    std::fprintf(stderr, "%s\n", message.c_str());
    return kBadInput;
  } catch (const UserError& error) {
    return fail(kBadInput, error.what());
  } catch (const std::invalid_argument& error) {  // a model or a layer refuses what the user asked for
    return fail(kBadInput, error.what());
  } catch (const Interrupted& error) {
    return fail(kInterrupted, error.what());
  } catch (const RanksLost& error) {
    std::fflush(nullptr);
    std::_Exit(fail(kFailure, error.what()));
  } catch (const c10::Error& error) {
    return fail(kFailure, message_of(error));
  } catch (const std::bad_alloc&) {
    return fail(kFailure, "out of memory");
  } catch (const std::exception& error) {
    return fail(kFailure, error.what());
  }
}

}  // namespace seednorm::lab

// seednorm eval
#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "lab/base/error.h"
#include "lab/base/file.h"
#include "lab/base/progress.h"
#include "lab/base/sha256.h"
#include "lab/base/split_list.h"
#include "lab/base/suggest.h"
#include "lab/cli/checks.h"
#include "lab/cli/eval_images.h"
#include "lab/cli/model_options.h"
#include "lab/cli/verb.h"
#include "lab/language/eval/evaluate.h"
#include "lab/language/interop/hf_config.h"
#include "lab/train/training_device.h"
#include "lab/vision/interop/convert_pictures.h"

namespace seednorm::lab {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

struct Arguments {
  ModelOptions model;
  std::string tasks, data, dump, out, json;
  int64_t limit = 0, context = 0;
  EvalOptions options;
  std::string predictions;  // these three for classifiers of pictures
  bool average = false, skip_damaged = false;
  std::vector<std::string> pairs;
};

struct Names {
  std::vector<const Task*> tasks;
  std::vector<std::string> sets;
};

UserError unknown_name(const std::string& name, const DataFolder& folder) {
  std::vector<std::string> known = known_sets();
  if (std::find(known.begin(), known.end(), name) != known.end()) {
    return UserError("--tasks: " + folder.path().string() + " has no set " + name);
  }
  for (const Task& task : all_tasks()) known.push_back(task.name);
  return UserError("--tasks: no task or set " + quote(name) + did_you_mean(name, known) +
                   "; use all for every task, and " + folder.path().string() + " has no file of this name");
}

Names parse_names(const std::string& list, const DataFolder& folder) {
  Names out;
  std::vector<std::string> others;
  out.tasks = named_tasks(split_list(list), &others);
  for (const std::string& name : others) {
    if (!has_set(folder, name)) throw unknown_name(name, folder);
    if (std::find(out.sets.begin(), out.sets.end(), name) == out.sets.end()) out.sets.push_back(name);
  }
  if (out.tasks.empty() && out.sets.empty())
    throw UserError("--tasks: no task given; use all for every task");
  return out;
}

// All requests. They are read before anything is computed, so that mistakes show at once and not after
// hours.
struct Questions {
  std::vector<TaskRequests> tasks;
  std::vector<PerplexitySet> sets;
};

Questions read_questions(const Arguments& a, const DataFolder& folder, const Tokenizer& tokenizer,
                         int64_t model_context) {
  const Names names = parse_names(a.tasks, folder);
  const int64_t chunk = a.context > 0 ? a.context : model_context;
  if (chunk > model_context || chunk < 2) {
    throw UserError("--context: expected 2 to the model's " + std::to_string(model_context) +
                    " tokens, got " + std::to_string(chunk));
  }
  Questions out;
  for (const Task* task : names.tasks) {
    out.tasks.push_back(
        prepare_task(*task, folder, tokenizer, {.model_context = model_context, .documents = a.limit}));
  }
  for (const std::string& name : names.sets) out.sets.emplace_back(folder, name, tokenizer, chunk, a.limit);
  return out;
}

void dump_requests(const std::string& file, const Questions& questions) {
  if (file.empty()) return;
  if (fs::exists(file))
    throw UserError(file + ": already exists; name a new file, since nothing is overwritten");
  const fs::path partial = file + ".partial";
  fs::remove(partial);
  OutputFile out(partial);
  for (const TaskRequests& task : questions.tasks) write_requests(task, out);
  out.close();
  fs::rename(partial, file);
}

class Evaluation {
 public:
  Evaluation(const Arguments& arguments, Model& model, size_t all, const Group& group)
      : arguments_(arguments),
        model_(model),
        model_fingerprint_(arguments.model.fingerprint()),
        group_(group),
        all_(all) {
    group_.on_main([&] {
      if (!arguments.out.empty()) store_.emplace(arguments.out);
    });
  }

  // The result of `thing`, a task or a set; one that is in the folder already is not computed again. Errors
  // (UserError): other ranks evaluate something else; those of ResultStore.
  template <class Thing>
  Json result_of(const std::string& name, const std::string& fingerprint, const Thing& thing) {
    ++number_;
    const std::string mine = sha256_hex(model_fingerprint_ + " " + fingerprint);
    const std::string of_main = group_.broadcast(mine);
    group_.together([&] {
      if (of_main != mine) throw UserError(name + ": its model or its data is not that of rank 0");
    });
    std::string kept;
    group_.on_main([&] {
      if (!store_) return;
      if (const auto found = store_->find(name, mine)) kept = found->dump();
    });
    kept = group_.broadcast(kept);
    if (!kept.empty()) return Json::parse(kept);
    EvalOptions options = arguments_.options;
    options.group = &group_;
    options.report = [&, begin = progress_.seconds()](int64_t done, int64_t all) {
      if (group_.is_main()) show(name, done, all, begin);
    };
    const Json result = to_json(evaluate(model_, thing, options));
    group_.on_main([&] {
      if (store_) store_->keep(name, mine, result);
    });
    return result;
  }

  void finish(const Json& results) const {
    group_.on_main([&] {
      if (store_) store_->finish(results);
    });
  }

 private:
  void show(const std::string& name, int64_t done, int64_t all, double begin) {
    if (!progress_.is_due()) return;
    const double seconds = progress_.seconds() - begin,
                 share = static_cast<double>(done) / static_cast<double>(all);
    char line[160];
    std::snprintf(line, sizeof line, "%zu of %zu, %s: %3.0f%%, %.0f/s, %.0f s left", number_, all_,
                  name.c_str(), 100 * share, static_cast<double>(done) / seconds, seconds / share - seconds);
    progress_.show(line);
  }

  const Arguments& arguments_;
  Model& model_;
  std::string model_fingerprint_;
  const Group& group_;
  std::optional<ResultStore> store_;  // on rank 0
  Progress progress_;
  size_t number_ = 0, all_;
};

// Errors (UserError): options of the other kind of models.
void check_kind(const Arguments& a, bool of_images) {
  const auto refuse = [&](const char* option, bool given) {
    if (given) {
      throw UserError(std::string(option) + ": " + a.model.folder + " is a model of " +
                      (of_images ? "pictures" : "text") + ", which has no such option");
    }
  };
  refuse("--tasks", of_images && !a.tasks.empty());
  refuse("--out", of_images && !a.out.empty());
  refuse("--context", of_images && a.context != 0);
  refuse("--dump-requests", of_images && !a.dump.empty());
  refuse("--predictions", !of_images && !a.predictions.empty());
  refuse("--average", !of_images && a.average);
  refuse("--skip-damaged", !of_images && a.skip_damaged);
}

// Whether a folder has a classifier, and not a language model. Errors (UserError): it has neither, which is
// said before options are looked at.
bool is_classifier(const std::string& folder) {
  switch (picture_model_of(folder)) {
    case PictureModel::kClassifier:
      return true;
    case PictureModel::kMae:
      throw UserError(folder + ": is a masked autoencoder; expected a language model or a classifier");
    case PictureModel::kDit:
      throw UserError(folder + ": is a DiT; expected a language model or a classifier");
    case PictureModel::kNone:
      read_hf_config(folder);
  }
  return false;
}

void run_pairs(const Arguments& a) {
  const auto refuse = [](const char* option, bool given) {
    if (given) throw UserError(std::string(option) + ": has no meaning with --pairs");
  };
  refuse("--data", !a.data.empty());
  refuse("--tasks", !a.tasks.empty());
  refuse("--out", !a.out.empty());
  refuse("--context", a.context != 0);
  refuse("--dump-requests", !a.dump.empty());
  refuse("--predictions", !a.predictions.empty());
  refuse("--skip-damaged", a.skip_damaged);
  a.model.use_machine();
  eval_pairs({.model = a.model.folder,
              .json = a.json,
              .sets = a.pairs,
              .limit = a.limit,
              .rows = a.options.batch,
              .average = a.average});
}

void eval_text(const Arguments& arguments, const Group& group) {
  const DataFolder folder(arguments.data);
  parse_names(arguments.tasks, folder);  // a wrong name is found before a large model is read
  const std::unique_ptr<Model> model = arguments.model.load();
  const Tokenizer tokenizer = load_tokenizer(arguments.model.folder, arguments.model.tokenizer, *model);
  const Questions questions = read_questions(arguments, folder, tokenizer, model->config().context);
  group.on_main([&] { dump_requests(arguments.dump, questions); });
  Json results = {{"model", arguments.model.folder},
                  {"tokenizer", tokenizer.name()},
                  {"dtype", arguments.model.dtype},
                  {"tasks", Json::object()},
                  {"perplexity", Json::object()}};
  {
    Evaluation evaluation(arguments, *model, questions.tasks.size() + questions.sets.size(), group);
    for (const TaskRequests& task : questions.tasks) {
      results["tasks"][task.task.name] = evaluation.result_of(task.task.name, task.fingerprint(), task);
    }
    for (const PerplexitySet& set : questions.sets) {
      results["perplexity"][set.name()] = evaluation.result_of(set.name(), set.fingerprint(), set);
    }
    evaluation.finish(results);
  }
  if (!group.is_main()) return;
  std::fputs(results_table(results).c_str(), stdout);
  write_json(arguments.json, results);
}

void run_eval(const Arguments& arguments) {
  const std::shared_ptr<Group> group = training_group("cpu");
  if (!arguments.pairs.empty()) {
    if (group->size() > 1) throw UserError("--pairs: runs in one process, not under a launcher of several");
    return run_pairs(arguments);
  }
  if (arguments.data.empty())
    throw UserError("--data: is required, unless --pairs names two sets of pictures");
  const bool of_images = is_classifier(arguments.model.folder);
  check_kind(arguments, of_images);
  if (!of_images) return eval_text(arguments, *group);
  arguments.model.use_machine();
  eval_images({.model = arguments.model.folder,
               .data = arguments.data,
               .predictions = arguments.predictions,
               .json = arguments.json,
               .limit = arguments.limit,
               .rows = arguments.options.batch,
               .average = arguments.average,
               .skip_damaged = arguments.skip_damaged},
              *group);
}

}  // namespace

void add_eval(CLI::App& app) {
  const auto arguments = std::make_shared<Arguments>();
  Arguments& a = *arguments;
  add_model_options(app, a.model);
  std::string names;
  for (const Task& task : all_tasks()) names += (names.empty() ? "" : ", ") + task.name;
  app.add_option("--tasks", a.tasks,
                 "Tasks and sets of text, separated by commas: all (every task), " + names +
                     "; a set is a file or a folder of token shards in --data")
      ->type_name("LIST");
  app.add_option("--data", a.data,
                 "The folder with the files of tasks and sets; for a classifier a set of pictures")
      ->type_name("DIR");
  app.add_option("--limit", a.limit,
                 "Use only the first N documents of each task and the first N chunks of each set; of "
                 "pictures N, evenly spaced")
      ->check(at_least(1))
      ->type_name("N");
  app.add_option("--batch", a.options.batch,
                 "Number of requests (a document and a choice) or of chunks in one pass")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str()
      ->type_name("N");
  app.add_option("--context", a.context, "Number of tokens in a chunk of a set; default: the model's context")
      ->type_name("N");
  app.add_option("--dump-requests", a.dump, "Write every request to this new file, as JSON lines")
      ->type_name("FILE");
  app.add_option("--out", a.out,
                 "Keep each result in this folder, so that an interrupted evaluation can continue")
      ->type_name("DIR");
  app.add_option("--predictions", a.predictions,
                 "Write file, label and logits of every picture to this new file, as JSON lines")
      ->type_name("FILE");
  app.add_flag("--average", a.average, "Use the averaged weights of a checkpoint of a classifier");
  app.add_flag("--skip-damaged", a.skip_damaged, "Count pictures that cannot be read and go on without them");
  app.add_option(
         "--pairs", a.pairs,
         "Compare two sets of pictures by the Frechet distance of a classifier's features: folders, .npz "
         "files. With a .safetensors file of the Inception network of 2015 as --model it is the FID")
      ->expected(2)
      ->type_name("SET");
  add_json_option(app, a.json);
  app.callback([arguments] { run_eval(*arguments); });
}

}  // namespace seednorm::lab

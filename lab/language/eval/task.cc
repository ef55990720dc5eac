#include "lab/language/eval/task.h"

#include <algorithm>

#include "lab/base/error.h"

namespace seednorm::lab {

const std::vector<Task>& all_tasks() {
  static const std::vector<Task> tasks = [] {
    std::vector<Task> out;
#define SEEDNORM_TASK(task_name)     \
  out.push_back(task_name##_task()); \
  out.back().name = #task_name;
#include "lab/language/eval/tasks.def"
#undef SEEDNORM_TASK
    return out;
  }();
  return tasks;
}

const Task* find_task(std::string_view name) {
  const auto found =
      std::find_if(all_tasks().begin(), all_tasks().end(), [&](const Task& t) { return t.name == name; });
  return found == all_tasks().end() ? nullptr : &*found;
}

std::vector<const Task*> named_tasks(const std::vector<std::string>& names,
                                     std::vector<std::string>* others) {
  std::vector<const Task*> out;
  const auto add = [&](const Task& task) {
    if (std::find(out.begin(), out.end(), &task) == out.end()) out.push_back(&task);
  };
  for (const std::string& name : names) {
    if (name == "all") {
      for (const Task& task : all_tasks()) add(task);
    } else if (const Task* task = find_task(name)) {
      add(*task);
    } else {
      others->push_back(name);
    }
  }
  return out;
}

std::vector<Document> read_documents(const DataFolder& folder, const std::string& name,
                                     Document (*make)(const JsonField& line)) {
  std::vector<Document> out;
  folder.each_line(name, [&](const JsonField& line, const std::string& place) {
    out.push_back(make(line));
    out.back().place = place;
  });
  return out;
}

std::string continuation_of(const JsonField& text) {
  if (text.string().empty()) text.fail("expected the text of a choice, got none");
  return " " + text.string();
}

void add_lettered_choices(const JsonField& line, Document& document) {
  const JsonField texts = line["choices"]["text"], key = line["answerKey"];
  for (size_t i = 0; i < texts.array().size(); ++i)
    document.continuations.push_back(continuation_of(texts[i]));
  const size_t count = document.continuations.size();
  // The position is that of the letter in A..E; choices.label is ignored.
  const std::string& letter = key.string();
  const size_t gold = letter.size() == 1 ? std::string_view("ABCDE12345").find(letter) : std::string::npos;
  if (gold == std::string::npos || gold % 5 >= count) {
    key.fail("expected one of A to E or 1 to 5, for " + std::to_string(count) + " choices, got " +
             quote(letter));
  }
  document.gold = static_cast<int64_t>(gold % 5);
}

std::string question_and_answer(const std::string& question) { return "Question: " + question + "\nAnswer:"; }

}  // namespace seednorm::lab

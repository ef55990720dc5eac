// MMLU (arXiv 2009.03300) on its validation split, each question asked in seven ways ("MMLU-Var"): alone,
// after a line of instruction, and after 1 to 5 examples of the subject's dev split. The choices are not
// listed in the prompt. Scored in four groups of subjects.
#include <map>

#include "lab/base/error.h"
#include "lab/language/eval/python_text.h"
#include "lab/language/eval/task.h"

namespace seednorm::lab {
namespace {

struct Subject {
  const char* name;
  const char* group;
};

// In the evaluator's order: groups, their subcategories (physics, chemistry, ...), subjects by the alphabet.
constexpr Subject kSubjects[] = {
    {"astronomy", "stem"},
    {"college_physics", "stem"},
    {"conceptual_physics", "stem"},
    {"high_school_physics", "stem"},
    {"college_chemistry", "stem"},
    {"high_school_chemistry", "stem"},
    {"college_biology", "stem"},
    {"high_school_biology", "stem"},
    {"college_computer_science", "stem"},
    {"computer_security", "stem"},
    {"high_school_computer_science", "stem"},
    {"machine_learning", "stem"},
    {"abstract_algebra", "stem"},
    {"college_mathematics", "stem"},
    {"elementary_mathematics", "stem"},
    {"high_school_mathematics", "stem"},
    {"high_school_statistics", "stem"},
    {"electrical_engineering", "stem"},
    {"high_school_european_history", "humanities"},
    {"high_school_us_history", "humanities"},
    {"high_school_world_history", "humanities"},
    {"prehistory", "humanities"},
    {"formal_logic", "humanities"},
    {"logical_fallacies", "humanities"},
    {"moral_disputes", "humanities"},
    {"moral_scenarios", "humanities"},
    {"philosophy", "humanities"},
    {"world_religions", "humanities"},
    {"international_law", "humanities"},
    {"jurisprudence", "humanities"},
    {"professional_law", "humanities"},
    {"high_school_government_and_politics", "social_sciences"},
    {"public_relations", "social_sciences"},
    {"security_studies", "social_sciences"},
    {"us_foreign_policy", "social_sciences"},
    {"human_sexuality", "social_sciences"},
    {"sociology", "social_sciences"},
    {"econometrics", "social_sciences"},
    {"high_school_macroeconomics", "social_sciences"},
    {"high_school_microeconomics", "social_sciences"},
    {"high_school_geography", "social_sciences"},
    {"high_school_psychology", "social_sciences"},
    {"professional_psychology", "social_sciences"},
    {"global_facts", "other"},
    {"miscellaneous", "other"},
    {"professional_accounting", "other"},
    {"business_ethics", "other"},
    {"management", "other"},
    {"marketing", "other"},
    {"anatomy", "other"},
    {"clinical_knowledge", "other"},
    {"college_medicine", "other"},
    {"human_aging", "other"},
    {"medical_genetics", "other"},
    {"nutrition", "other"},
    {"professional_medicine", "other"},
    {"virology", "other"},
};
constexpr size_t kExamples = 5;  // of the dev split, at most

struct Question {
  std::string text, place;
  std::vector<std::string> choices;
  int64_t answer = 0;

  std::string prompt() const { return question_and_answer(std::string(strip(text))); }
};
using Questions = std::map<std::string, std::vector<Question>>;  // by subject

Questions read_questions(const DataFolder& folder, const std::string& name) {
  Questions out;
  for (const Subject& subject : kSubjects) out[subject.name] = {};
  folder.each_line(name, [&](const JsonField& line, const std::string& place) {
    const auto subject = out.find(line["subject"].string());
    if (subject == out.end())
      line["subject"].fail("no subject of MMLU is called " + quote(line["subject"].string()));
    Question question{.text = line["question"].string(), .place = place};
    const JsonField choices = line["choices"];
    for (size_t i = 0; i < choices.array().size(); ++i) {
      question.choices.push_back(continuation_of(choices[i]));
    }
    question.answer = line["answer"].integer(0, static_cast<int64_t>(question.choices.size()) - 1);
    subject->second.push_back(std::move(question));
  });
  return out;
}

// The text before the question in each of the ways.
std::vector<std::string> prefixes(const std::string& subject, const std::vector<Question>& examples) {
  const std::string about = replace_all(subject, "_", " ");
  std::vector<std::string> out = {
      "", "The following are multiple choice questions (with answers) about " + about + ":\n\n"};
  for (size_t i = 0; i < kExamples && i < examples.size(); ++i) {
    const Question& q = examples[i];
    out.push_back(out.back() + q.prompt() + q.choices[static_cast<size_t>(q.answer)] + "\n\n");
  }
  return out;
}

std::vector<Document> read(const DataFolder& folder) {
  const Questions asked = read_questions(folder, "mmlu.validation"), dev = read_questions(folder, "mmlu.dev");
  std::vector<Document> out;
  int64_t number = 0;
  for (const Subject& subject : kSubjects) {
    const std::vector<std::string> before = prefixes(subject.name, dev.at(subject.name));
    for (const Question& q : asked.at(subject.name)) {
      for (const std::string& prefix : before) {
        out.push_back({.contexts = {prefix + q.prompt()},
                       .continuations = q.choices,
                       .gold = q.answer,
                       .place = q.place,
                       .group = subject.group,
                       .question = number});
      }
      ++number;
    }
  }
  return out;
}

}  // namespace

Task mmlu_var_task() { return {.metric = Metric::kLenNorm, .read = read}; }

}  // namespace seednorm::lab

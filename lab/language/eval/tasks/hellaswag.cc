// HellaSwag (arXiv 1905.07830): the continuation of a description.
//
// Two forms of the data are read: the original, {"activity_label", "ctx_a", "ctx_b", "endings", "label":
// "0".."3"}, and a text dump of it, {"context": "LABEL: CTX", "endings", "label": 0..3}, in which the marks
// in brackets are gone and ctx_b is not capitalized. From the dump, documents 0 to 3242 (of ActivityNet) come
// out exactly as from the original; later ones (of WikiHow) but for a second leading blank of endings that
// began with a mark.
#include "lab/base/error.h"
#include "lab/language/eval/python_text.h"
#include "lab/language/eval/task.h"

namespace seednorm::lab {
namespace {

constexpr size_t kActivityNet = 3243;  // documents of the validation split, before those of WikiHow
constexpr size_t kEndings = 4;

// re.sub(r"\[.*?\]", "", text): the shortest, none across lines.
std::string without_brackets(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t open = text.find('[');
    out += text.substr(0, open);
    if (open == std::string_view::npos) break;
    const size_t close = text.find_first_of("]\n", open);
    const bool is_mark = close != std::string_view::npos && text[close] == ']';
    if (!is_mark) out += '[';
    text.remove_prefix(is_mark ? close + 1 : open + 1);
  }
  return out;
}

// White space is removed first, so that an ending that began with a mark keeps the blank that followed it.
std::string clean(std::string_view text) {
  return replace_all(without_brackets(replace_all(strip(text), " [title]", ". ")), "  ", " ");
}

bool is_one_of(char c, std::string_view set) { return set.find(c) != std::string_view::npos; }

// Whether a sentence ends before text[at]: a stop, perhaps a closing quote or bracket, a blank.
bool begins_sentence(std::string_view text, size_t at) {
  if (at < 2 || text[at - 1] != ' ') return false;
  return is_one_of(text[at - 2], ".!?") ||
         (at > 2 && is_one_of(text[at - 2], "\"')") && is_one_of(text[at - 3], ".!?"));
}

// The start of ctx_b in a text of the dump: the last sentence that begins with a small letter, unless another
// sentence begins after it; otherwise the size of the text.
size_t begin_of_ctx_b(std::string_view text) {
  size_t at = text.size();
  while (at-- > 0) {
    if (text[at] >= 'a' && text[at] <= 'z' && begins_sentence(text, at)) return at;
    if (at + 1 < text.size() && is_one_of(text[at], ".!?") && is_one_of(text[at + 1], " \t\n\r\f\v")) {
      break;
    }
  }
  return text.size();
}

std::string context_of_dump(const JsonField& field, bool is_activity_net) {
  const std::string& text = field.string();
  const size_t colon = text.find(": ");
  if (colon == std::string::npos) field.fail("expected \"LABEL: TEXT\", got " + quote(text));
  if (!is_activity_net) return clean(text);
  const size_t begin = colon + 2 + begin_of_ctx_b(std::string_view(text).substr(colon + 2));
  return clean(text.substr(0, begin) + capitalize(text.substr(begin)));
}

std::string context_of_original(const JsonField& line) {
  return clean(line["activity_label"].string() + ": " + line["ctx_a"].string() + " " +
               capitalize(line["ctx_b"].string()));
}

int64_t gold_of(const JsonField& label) {
  if (!label.is_string()) return label.integer(0, kEndings - 1);
  const std::string& text = label.string();
  if (text.size() != 1 || !is_one_of(text[0], "0123")) label.fail("expected 0 to 3, got " + quote(text));
  return text[0] - '0';
}

Document document_of(const JsonField& line, bool is_activity_net) {
  const JsonField dump = line.find("context"), endings = line["endings"];
  Document out{
      .contexts = {dump.is_null() ? context_of_original(line) : context_of_dump(dump, is_activity_net)},
      .gold = gold_of(line["label"]),
      .source = dump.is_null() ? "" : "text dump"};
  if (endings.array().size() != kEndings) endings.fail("expected 4 endings");
  for (size_t i = 0; i < kEndings; ++i) {
    const std::string ending = clean(endings[i].string());
    if (ending.empty()) endings[i].fail("expected the text of a choice, got none");
    out.continuations.push_back(" " + ending);
  }
  return out;
}

}  // namespace

Task hellaswag_task() {
  return {.metric = Metric::kLenNorm, .read = [](const DataFolder& folder) {
            std::vector<Document> out;
            folder.each_line("hellaswag.validation", [&](const JsonField& line, const std::string& place) {
              out.push_back(document_of(line, out.size() < kActivityNet));
              out.back().place = place;
            });
            return out;
          }};
}

}  // namespace seednorm::lab

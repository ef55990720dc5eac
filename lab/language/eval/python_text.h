// Methods of Python's str, which the tasks' texts were made with.
#ifndef SEEDNORM_LAB_LANGUAGE_EVAL_PYTHON_TEXT_H_
#define SEEDNORM_LAB_LANGUAGE_EVAL_PYTHON_TEXT_H_

#include <string>
#include <string_view>

namespace seednorm::lab {

// Without white space, as Unicode has it, on both ends.
std::string_view strip(std::string_view text);
// The first character as a capital, all others in lower case.
std::string capitalize(std::string_view text);
// The first character in lower case, all others as they are: text[0].lower() + text[1:].
std::string lower_first(std::string_view text);
// text.replace(from, to): from left to right, without looking again at what was put there.
std::string replace_all(std::string_view text, std::string_view from, std::string_view to);

// Bytes of the first code point; 0 for no text.
size_t first_character(std::string_view text);
// Code points; a byte that is part of none counts as one.
int64_t num_characters(std::string_view text);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_EVAL_PYTHON_TEXT_H_

// Methods of Python's str, with which the tasks' texts were made.
#ifndef SEEDNORM_LAB_LANGUAGE_EVAL_PYTHON_TEXT_H_
#define SEEDNORM_LAB_LANGUAGE_EVAL_PYTHON_TEXT_H_

#include <string>
#include <string_view>

namespace seednorm::lab {

// Strips Unicode white space from both ends.
std::string_view strip(std::string_view text);
// The first character as a capital, all others in lower case.
std::string capitalize(std::string_view text);
// The first character in lower case, all others as they are: text[0].lower() + text[1:].
std::string lower_first(std::string_view text);
// text.replace(from, to): from left to right, without searching in the replacements.
std::string replace_all(std::string_view text, std::string_view from, std::string_view to);

// The number of bytes of the first code point; 0 for an empty text.
size_t first_character(std::string_view text);
// The number of code points; a byte outside of a code point counts as one.
int64_t num_characters(std::string_view text);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_EVAL_PYTHON_TEXT_H_

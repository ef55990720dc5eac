// Unicode normalization.
#ifndef SEEDNORM_LAB_LANGUAGE_DATA_TOKENIZER_NORMALIZE_H_
#define SEEDNORM_LAB_LANGUAGE_DATA_TOKENIZER_NORMALIZE_H_

#include <string>
#include <string_view>

namespace seednorm::lab {

// `text`, which is valid UTF-8, in Normalization Form C: the text itself if it is normalized already, else
// stored in `buffer`.
std::string_view nfc(std::string_view text, std::string& buffer);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_DATA_TOKENIZER_NORMALIZE_H_

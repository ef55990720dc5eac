// Token ids from the user.
#ifndef SEEDNORM_LAB_LANGUAGE_EVAL_TOKEN_LIST_H_
#define SEEDNORM_LAB_LANGUAGE_EVAL_TOKEN_LIST_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace seednorm::lab {

// A JSON list of ids from 0 to vocab_size - 1. Errors (UserError, "FILE: [3]: what is wrong"): anything else.
std::vector<int64_t> parse_token_list(std::string_view json, const std::string& file, int64_t vocab_size);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_EVAL_TOKEN_LIST_H_

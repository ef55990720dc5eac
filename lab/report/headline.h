// What was compared, and the answer in a sentence.
#ifndef SEEDNORM_LAB_REPORT_HEADLINE_H_
#define SEEDNORM_LAB_REPORT_HEADLINE_H_

#include <nlohmann/json.hpp>

namespace seednorm::lab {

// Adds to what collect() returns: "title" (what was compared) and "answer", and both to each of the groups.
// The answer is the difference of the best entrant from the first one, which is the baseline.
void add_headlines(nlohmann::ordered_json& data);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_REPORT_HEADLINE_H_

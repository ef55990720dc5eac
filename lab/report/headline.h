// The subject of a comparison, and its result in a sentence.
#ifndef SEEDNORM_LAB_REPORT_HEADLINE_H_
#define SEEDNORM_LAB_REPORT_HEADLINE_H_

#include <string>

#include "lab/report/collect.h"

namespace seednorm::lab {

struct Headline {
  std::string title, answer;
};

// The answer is the difference of the best entrant from the first one, which is the baseline, in the most
// important metric. It says whether its interval is corrected for the number of pairs.
Headline headline_of(const ReportGroup& group);
// The same for a whole page.
Headline headline_of(const Report& report);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_REPORT_HEADLINE_H_

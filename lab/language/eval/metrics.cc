#include "lab/language/eval/metrics.h"

#include <cmath>
#include <numbers>
#include <set>

#include "lab/language/eval/python_text.h"

namespace seednorm::lab {
namespace {

double num_bytes(const std::string& continuation) {
  return static_cast<double>(continuation.size() - first_character(continuation));
}

// Whether the first of the largest values is at `gold`. With a NaN no value is the largest.
bool is_best(const std::vector<double>& values, int64_t gold) {
  const double best = values[static_cast<size_t>(gold)];
  for (size_t c = 0; c < values.size(); ++c) {
    const bool earlier = static_cast<int64_t>(c) < gold;
    if (static_cast<int64_t>(c) != gold && !(earlier ? values[c] < best : values[c] <= best)) return false;
  }
  return best == best;
}

class Sums {
 public:
  void add(const Document& document, const std::vector<double>& log_likelihoods) {
    const auto gold = static_cast<size_t>(document.gold);
    std::vector<double> by_length = log_likelihoods;
    for (size_t c = 0; c < by_length.size(); ++c) {
      by_length[c] /= static_cast<double>(num_characters(document.continuations[c]) - 1);
    }
    out_.acc += is_best(log_likelihoods, document.gold) ? 1 : 0;
    out_.len_norm += is_best(by_length, document.gold) ? 1 : 0;
    out_.ce_loss -= by_length[gold];
    out_.bpb -= log_likelihoods[gold] / num_bytes(document.continuations[gold]) * std::numbers::log2e;
    ++out_.documents;
    questions_.insert(document.question < 0 ? -out_.documents : document.question);
  }

  Scores means() const {
    Scores out = out_;
    for (double* sum : {&out.acc, &out.len_norm, &out.ce_loss, &out.bpb}) {
      *sum /= static_cast<double>(out.documents);
    }
    out.questions = static_cast<int64_t>(questions_.size());
    return out;
  }

 private:
  Scores out_;
  std::set<int64_t> questions_;
};

}  // namespace

double Scores::standard_error(Metric metric) const {
  const double p = value(metric);
  return std::sqrt(p * (1 - p) / static_cast<double>(questions));
}

Scores score(const std::vector<Document>& documents,
             const std::vector<std::vector<double>>& log_likelihoods) {
  Sums sums;
  for (size_t d = 0; d < documents.size(); ++d) sums.add(documents[d], log_likelihoods[d]);
  return sums.means();
}

std::map<std::string, Scores> score_groups(const std::vector<Document>& documents,
                                           const std::vector<std::vector<double>>& log_likelihoods) {
  std::map<std::string, Sums> sums;
  for (size_t d = 0; d < documents.size(); ++d) {
    if (!documents[d].group.empty()) sums[documents[d].group].add(documents[d], log_likelihoods[d]);
  }
  std::map<std::string, Scores> out;
  for (const auto& [group, s] : sums) out[group] = s.means();
  return out;
}

}  // namespace seednorm::lab

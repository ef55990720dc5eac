// The measurements of a language model during training: losses of validation sets, statistics of its norms, a
// sample of text, and tasks.
#ifndef SEEDNORM_LAB_LANGUAGE_PROBES_H_
#define SEEDNORM_LAB_LANGUAGE_PROBES_H_

#include <memory>
#include <string>
#include <vector>

#include "lab/language/data/token_stream.h"
#include "lab/language/models/model.h"
#include "lab/train/workload.h"

namespace seednorm::lab {

class LanguageWorkload;

// The probes that the workload's settings request. Errors (UserError): a set, a task or its files are
// missing, or do not fit the tokenizer, the vocabulary or the context; a text or a task is requested but the
// data have no tokenizer.
std::vector<std::unique_ptr<Probe>> language_probes(LanguageWorkload& workload);

// Mean cross entropy of `sequences` [N, context + 1] in nats per token, `rows` sequences at a time, which the
// ranks divide among them. The result is the same for any number of ranks, bit for bit.
double mean_loss(Model& model, const at::Tensor& sequences, int64_t rows,
                 const Group& group = Group::alone());

// The shortest ends of the paths that distinguish them: {"books/valid", "web/valid"} if "valid" alone would
// mean two sets. Errors (UserError): a folder is listed twice.
std::vector<std::string> set_names(const std::vector<std::string>& folders);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_PROBES_H_

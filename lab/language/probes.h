// What is measured of a language model while it is trained: losses of validation sets, what its norms do,
// a text; and tasks.
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

// Those that the workload's settings ask for. Errors (UserError): a set, a task or its files are missing,
// or do not fit the tokenizer, the vocabulary or the context; a text or a task is wanted and the data have
// no tokenizer.
std::vector<std::unique_ptr<Probe>> language_probes(LanguageWorkload& workload);

// Mean cross entropy of `sequences` [N, context + 1] in nats per token, `rows` sequences at a time.
double mean_loss(Model& model, const at::Tensor& sequences, int64_t rows);

// The shortest ends of the paths that tell them apart: {"books/valid", "web/valid"} where "valid" alone
// would be two sets. Errors (UserError): a folder is there twice.
std::vector<std::string> set_names(const std::vector<std::string>& folders);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_PROBES_H_

// seednorm eval --pairs
#include <cstdio>

#include "lab/base/error.h"
#include "lab/base/interrupt.h"
#include "lab/base/progress.h"
#include "lab/cli/eval_images.h"
#include "lab/cli/verb.h"
#include "lab/vision/data/image_subset.h"
#include "lab/vision/eval/feature_net.h"
#include "lab/vision/eval/frechet_distance.h"
#include "lab/vision/eval/picture_files.h"

namespace seednorm::lab {
namespace {

std::unique_ptr<ImageSet> open_limited(const std::string& path, int64_t limit) {
  std::unique_ptr<ImageSet> set = open_pictures(path);
  if (set->size() < 2) {
    throw UserError("--pairs: " + path + " has " + std::to_string(set->size()) +
                    " pictures; a covariance needs two or more");
  }
  if (limit > 0 && limit < set->size()) set = std::make_unique<ImageSubset>(std::move(set), limit);
  return set;
}

FeatureMoments moments(FeatureNet& net, const ImageSet& set, const std::string& path, int64_t rows) {
  Progress progress;
  return moments_of(net, set, rows, [&](int64_t done) {
    if (progress.is_due()) {
      progress.show(path + ": " + std::to_string(done) + " of " + std::to_string(set.size()) + " pictures");
    }
  });
}

}  // namespace

void eval_pairs(const PairOptions& o) {
  const std::unique_ptr<ImageSet> a = open_limited(o.sets.at(0), o.limit),
                                  b = open_limited(o.sets.at(1), o.limit);
  const std::unique_ptr<FeatureNet> net = open_feature_net(o.model, o.average);
  catch_interrupts();
  const double distance =
      frechet_distance(moments(*net, *a, o.sets[0], o.rows), moments(*net, *b, o.sets[1], o.rows));
  std::printf("%s %.6g\nof %lld and %lld pictures, %lld features\n", net->metric().c_str(), distance,
              static_cast<long long>(a->size()), static_cast<long long>(b->size()),
              static_cast<long long>(net->num_features()));
  if (std::min(a->size(), b->size()) <= net->num_features()) {
    std::printf(
        "A covariance of so few pictures is singular: compare with distances of as many pictures only.\n");
  }
  write_json(o.json, {{"model", o.model},
                      {"metric", net->metric()},
                      {"value", distance},
                      {"pairs", o.sets},
                      {"images", {a->size(), b->size()}},
                      {"features", net->num_features()},
                      {"input", net->input()}});
}

}  // namespace seednorm::lab

// How work, sums and parameters are divided among ranks. Several processes are in cli/dist_cli_test.py.
#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <string>

#include "lab/base/error.h"
#include "lab/dist/gradient_norm.h"
#include "lab/dist/launch.h"
#include "lab/dist/shards.h"
#include "lab/dist/sum_tree.h"
#include "lab/nn/device.h"
#include "lab/train/optimizer.h"
#include "lab/train/threads.h"

namespace seednorm::lab {
namespace {

// The sum as text, with brackets.
std::string bracketed(int64_t first, int64_t count) {
  return tree_sum<std::string>(
      first, count, [](int64_t i) { return std::to_string(i); },
      [](const std::string& a, const std::string& b) { return "(" + a + "+" + b + ")"; });
}

TEST(SumTree, AddsHalvesOfWhichTheFirstIsTheLarger) {
  EXPECT_EQ(bracketed(0, 1), "0");
  EXPECT_EQ(bracketed(0, 3), "((0+1)+2)");
  EXPECT_EQ(bracketed(0, 5), "(((0+1)+2)+(3+4))");
}

TEST(SumTree, IsTheSameForAnyPowerOfTwoOfRanks) {
  for (int64_t count = 1; count <= 40; ++count) {
    for (const int ranks : {1, 2, 4, 8, 16}) {
      const auto leaf = [&](int64_t r) {
        const Terms t = terms_of(count, static_cast<int>(r), ranks);
        return t.count == 0 ? std::string() : bracketed(t.first, t.count);
      };
      const auto add = [](const std::string& a, const std::string& b) {
        return a.empty() ? b : b.empty() ? a : "(" + a + "+" + b + ")";
      };
      EXPECT_EQ(tree_sum<std::string>(0, ranks, leaf, add), bracketed(0, count)) << count << " " << ranks;
    }
  }
}

TEST(SumTree, EveryTermIsOneRanksAndPartsAreEven) {
  for (int64_t count = 0; count <= 40; ++count) {
    for (int ranks = 1; ranks <= 9; ++ranks) {
      int64_t next = 0;
      for (int r = 0; r < ranks; ++r) {
        const Terms t = terms_of(count, r, ranks);
        EXPECT_EQ(t.first, next);
        EXPECT_LE(std::abs(t.count - count / ranks), 1) << count << " " << ranks;
        next += t.count;
      }
      EXPECT_EQ(next, count);
    }
  }
}

TEST(Shards, EveryElementIsOneRanksAndPartsAreEven) {
  const std::vector<int64_t> sizes = {1, 5000000, 4097, 100000, 3, 4096, 0, 999999};
  std::vector<size_t> order;
  for (size_t i = sizes.size(); i-- > 0;) order.push_back(i);
  for (const int ranks : {1, 2, 3, 4, 7}) {
    const Shards shards(sizes, order, ranks, {}, 1 << 20);
    std::vector<int64_t> totals(ranks);
    for (size_t p = 0; p < sizes.size(); ++p) {
      int64_t next = 0;
      for (int r = 0; r < ranks; ++r) {
        const Range range = shards.range_of(p, r);
        if (range.count() == 0) continue;
        EXPECT_EQ(range.begin, next);
        EXPECT_EQ(range.begin % Shards::kChunk, 0);
        next = range.end;
        totals[r] += range.count();
      }
      EXPECT_EQ(next, sizes[p]);
    }
    const int64_t ideal = 6108196 / ranks;
    for (const int64_t total : totals) EXPECT_LE(std::abs(total - ideal), ideal / 100 + 2 * Shards::kChunk);
  }
}

TEST(Shards, SomeParametersAreWhollyOneRanks) {
  std::vector<int64_t> sizes(40, 500000);
  std::vector<bool> whole(40, true);
  sizes.insert(sizes.end(), {3, 2000000, 0, 7});
  whole.insert(whole.end(), {false, false, true, false});
  std::vector<size_t> order;
  for (size_t i = 0; i < sizes.size(); ++i) order.push_back(i);
  // Buckets of a single parameter as well as those of several.
  for (const int64_t bucket : {int64_t{1} << 18, int64_t{1} << 22}) {
    for (const int ranks : {1, 2, 4, 8}) {
      const Shards shards(sizes, order, ranks, whole, bucket);
      std::vector<int64_t> totals(ranks);
      for (size_t p = 0; p < sizes.size(); ++p) {
        int64_t all = 0;
        for (int r = 0; r < ranks; ++r) {
          const int64_t count = shards.range_of(p, r).count();
          if (whole[p]) {
            EXPECT_TRUE(count == 0 || count == sizes[p]) << p;
          }
          all += count;
          totals[r] += count;
        }
        EXPECT_EQ(all, sizes[p]);
      }
      // Within one parameter of equal parts.
      for (const int64_t total : totals) EXPECT_LE(std::abs(total - 22000010 / ranks), 500000) << ranks;
    }
  }
}

TEST(GradientNorm, IsTheNormInDoubleForAnyNumberOfThreads) {
  std::vector<at::Tensor> gradients = {at::randn({300, 77}), at::Tensor(), at::randn({1 << 20}),
                                       at::randn({3})};
  const Shards shards({300 * 77, 5, 1 << 20, 3}, {3, 2, 1, 0}, 1);
  double squares = 0;
  for (const at::Tensor& g : gradients) {
    if (g.defined()) squares += g.to(at::kDouble).square().sum().item<double>();
  }
  const double norm = gradient_norm(gradients, shards, Group::alone()).item<double>();
  // A sum of n positive numbers in double is off by at most n half units in the last place.
  EXPECT_NEAR(norm, std::sqrt(squares), std::sqrt(squares) * 1.1e6 * 1.2e-16);
  const int threads = at::get_num_threads();
  for (const int count : {1, 2, 3}) {
    set_training_threads(count);
    EXPECT_EQ(gradient_norm(gradients, shards, Group::alone()).item<double>(), norm);
  }
  set_training_threads(threads);
  gradients[2][5] = std::nanf("");
  EXPECT_TRUE(std::isnan(gradient_norm(gradients, shards, Group::alone()).item<double>()));
}

TEST(Optimizer, RangesOfRanksMakeTheSameStepAsTheWhole) {
  TrainConfig config;
  const auto params = [] {
    std::vector<ParamInfo> out;
    at::manual_seed(3);
    for (const char* name : {"layers.0.a", "layers.1.a", "head"})
      out.push_back({name, at::randn({100, 130}), Role::kMatrix});
    out.push_back({"b", at::randn({7}), Role::kGain});
    return out;
  };
  for (const Method method : {Method::kAdamW, Method::kMuon}) {
    SCOPED_TRACE(name_of(method));
    config.optimizer = method;
    const std::vector<ParamInfo> whole = params();
    Optimizer one(param_groups(whole, config), config);
    std::vector<at::Tensor> gradients, joined;
    for (const at::Tensor& p : one.params()) {
      gradients.push_back(at::randn(p.sizes()));
      joined.push_back(at::zeros(p.sizes()));
    }
    for (int i = 0; i < 3; ++i) one.step(0.01, gradients);
    size_t slots = 0;
    for (int rank = 0; rank < 3; ++rank) {
      const std::vector<ParamInfo> own = params();
      Optimizer part(param_groups(own, config), config, rank, 3);
      std::vector<at::Tensor> ranges;
      for (size_t p = 0; p < own.size(); ++p) {
        const Range r = part.shards().range_of(p, rank);
        ranges.push_back(r.count() == 0 ? at::Tensor() : gradients[p].view(-1).narrow(0, r.begin, r.count()));
      }
      for (int i = 0; i < 3; ++i) part.step(0.01, ranges);
      for (size_t p = 0; p < own.size(); ++p) {
        const Range r = part.shards().range_of(p, rank);
        joined[p]
            .view(-1)
            .narrow(0, r.begin, r.count())
            .copy_(part.params()[p].view(-1).narrow(0, r.begin, r.count()));
      }
      slots += part.state().size();
    }
    for (size_t p = 0; p < joined.size(); ++p) EXPECT_TRUE(at::equal(joined[p], one.params()[p])) << p;
    EXPECT_EQ(one.state().size(), one.num_slots());
    EXPECT_GE(slots, one.num_slots());
  }
}

// What the optimizer does on other devices than the CPU.
TEST(Optimizer, StepsThatNothingWaitsForAreTheSameUpToRounding) {
  TrainConfig config;
  at::manual_seed(4);
  const at::Tensor start = at::randn({64, 65}), gradient = at::randn({64, 65});
  std::vector<at::Tensor> ends;
  std::vector<double> norms;
  for (const bool plain : {false, true}) {
    std::optional<PlainTensors> tensors;
    if (plain) tensors.emplace();
    const std::vector<ParamInfo> params = {{"a", start.clone(), Role::kMatrix}};
    Optimizer optimizer(param_groups(params, config), config);
    for (int i = 0; i < 3; ++i) {
      const std::vector<at::Tensor> gradients = {gradient.clone()};
      const at::Tensor norm = optimizer.clip(gradients, Group::alone());
      norms.push_back(norm.item<double>());
      // grad_clip is 1, far below the norm.
      EXPECT_NEAR(gradients[0].norm().item<double>(), 1, 1e-5);
      optimizer.step(0.01, gradients, plain ? norm : at::Tensor());
    }
    ends.push_back(params[0].tensor);
  }
  EXPECT_NEAR(norms[0], norms[3], 1e-6 * norms[0]);  // libtorch sums squares in float32
  EXPECT_LE((ends[0] - ends[1]).abs().max().item<double>(), 1e-5);
}

TEST(Optimizer, AGradientThatIsNotFiniteChangesNothing) {
  TrainConfig config;
  const std::vector<ParamInfo> params = {{"a", at::ones({100}), Role::kMatrix}};
  Optimizer optimizer(param_groups(params, config), config);
  const auto state = [&] {
    std::vector<at::Tensor> out = {params[0].tensor.clone()};
    for (const Optimizer::Slot& slot : optimizer.state()) out.push_back(slot.tensor.clone());
    return out;
  };
  optimizer.step(0.1, {at::ones({100})});
  const std::vector<at::Tensor> before = state();
  at::Tensor bad = at::ones({100});
  bad[7] = std::nanf("");
  const at::Tensor norm = optimizer.clip({bad}, Group::alone());
  optimizer.step(0.1, {bad}, norm);
  const std::vector<at::Tensor> after = state();
  for (size_t i = 0; i < before.size(); ++i) EXPECT_TRUE(at::equal(before[i], after[i])) << i;
}

std::optional<Launch> launch(std::map<std::string, std::string> variables) {
  return launch_from([variables = std::move(variables)](const char* name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional(found->second);
  });
}

TEST(Launch, IsOneProcessWithoutALauncher) {
  EXPECT_FALSE(launch({}));
  EXPECT_FALSE(launch({{"MASTER_ADDR", "left.over"}}));
  EXPECT_FALSE(launch({{"RANK", "0"}, {"WORLD_SIZE", "1"}, {"MASTER_ADDR", "a"}, {"MASTER_PORT", "1"}}));
  // A job script of Slurm, outside of srun.
  EXPECT_FALSE(launch({{"SLURM_JOB_ID", "5"}, {"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "8"}}));
}

TEST(Launch, ReadsTorchruns) {
  const auto l = launch({{"RANK", "5"},
                         {"WORLD_SIZE", "8"},
                         {"LOCAL_RANK", "1"},
                         {"MASTER_ADDR", "node1"},
                         {"MASTER_PORT", "29400"},
                         {"TORCHELASTIC_USE_AGENT_STORE", "True"},
                         {"TORCHELASTIC_RESTART_COUNT", "2"}});
  ASSERT_TRUE(l);
  EXPECT_EQ(l->rank, 5);
  EXPECT_EQ(l->size, 8);
  EXPECT_EQ(l->local_rank, 1);
  EXPECT_EQ(l->address, "node1");
  EXPECT_EQ(l->port, 29400);
  EXPECT_TRUE(l->agent_listens);
  EXPECT_EQ(l->attempt, "2");
}

TEST(Launch, ReadsSlurms) {
  std::map<std::string, std::string> v = {
      {"SLURM_JOB_ID", "100"},       {"SLURM_STEP_ID", "0"}, {"SLURM_PROCID", "3"},
      {"SLURM_STEP_NUM_TASKS", "4"}, {"SLURM_LOCALID", "1"}, {"SLURM_STEP_NODELIST", "gpu[07-09,12],login1"}};
  auto l = launch(v);
  ASSERT_TRUE(l);
  EXPECT_EQ(l->by, "Slurm");
  EXPECT_EQ(l->rank, 3);
  EXPECT_EQ(l->size, 4);
  EXPECT_EQ(l->address, "gpu07");
  EXPECT_EQ(l->port, 15700);
  for (const auto& [list, first] : {std::pair{"a1,b[2-3]", "a1"}, {"solo", "solo"}, {"n[5]", "n5"}}) {
    v["SLURM_STEP_NODELIST"] = list;
    EXPECT_EQ(launch(v)->address, first);
  }
  v["MASTER_ADDR"] = "10.0.0.1";
  EXPECT_EQ(launch(v)->address, "10.0.0.1");
  v.erase("MASTER_ADDR");
  v.erase("SLURM_STEP_NODELIST");
  EXPECT_THROW((void)launch(v), UserError);
}

TEST(Launch, ReadsOpenMpis) {
  std::map<std::string, std::string> v = {{"OMPI_COMM_WORLD_RANK", "1"},
                                          {"OMPI_COMM_WORLD_SIZE", "2"},
                                          {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
                                          {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"}};
  EXPECT_EQ(launch(v)->address, "127.0.0.1");
  v["OMPI_COMM_WORLD_LOCAL_SIZE"] = "1";
  EXPECT_THROW((void)launch(v), UserError);
  v["MASTER_ADDR"] = "head";
  EXPECT_EQ(launch(v)->address, "head");
}

}  // namespace
}  // namespace seednorm::lab

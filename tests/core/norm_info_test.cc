// What norms say of themselves, and that the layers do what the descriptions say.
#include "seednorm/norm_info.h"

#include <gtest/gtest.h>

#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "seednorm/seednorm.h"
#include "tests/core/common.h"

namespace seednorm::test {
namespace {

class Described : public testing::TestWithParam<std::string> {
 protected:
  const std::string& name() const { return GetParam(); }
  const NormInfo& info() const { return norm_info(name()); }
};

TEST_P(Described, AtItsPlaceInTheList) {
  EXPECT_EQ(info().name, name());
  EXPECT_EQ(norm_names().at(static_cast<size_t>(info().index)), name());
  EXPECT_EQ(&Norm(name(), 8).info(), &info());
}

TEST_P(Described, EveryParameterHasANameOfItsOwn) {
  std::set<std::string> state_names;
  std::set<Param> params;
  for (const NormParamInfo& p : info().params()) {
    EXPECT_TRUE(state_names.insert(p.state_name).second) << p.state_name;
    EXPECT_TRUE(params.insert(p.param).second) << p.state_name;
    EXPECT_EQ(info().find(p.param), &p);
    EXPECT_TRUE(p.forms.contains(Form::kVector)) << p.state_name << ": options have it by default";
  }
  EXPECT_FALSE(params.empty());
}

// State dictionaries are read by others, who know these names.
TEST_P(Described, StateNamesFollowFromRoles) {
  for (const NormParamInfo& p : info().params()) {
    const std::string state_name = p.state_name;
    EXPECT_EQ(state_name == "weight", p.role == ParamRole::kGain) << state_name;
    EXPECT_EQ(state_name == "bias", p.role == ParamRole::kOffset && p.param == Param::kBeta) << state_name;
    if (state_name == "weight" || state_name == "bias") continue;
    // LAN's are named after the statistics that they take the place of.
    const bool is_statistic = name() == "lan";
    const std::string statistic = p.param == Param::kAlpha ? "variance" : "mean";
    EXPECT_EQ(state_name, is_statistic ? statistic : name_of(p.param));
  }
}

TEST_P(Described, LayersHaveItsParametersAndNoOthers) {
  const Norm norm(name(), 8);
  for (int i = 0; i < kNumParams; ++i) {
    const Param param = param_at(i);
    const NormParamInfo* const own = info().find(param);
    if (own == nullptr) {
      EXPECT_EQ(norm.kind(param), ParamKind::kAbsent) << name_of(param);
      EXPECT_THROW(norm.role(param), std::invalid_argument);
      EXPECT_THROW(norm.state_name(param), std::invalid_argument);
      continue;
    }
    EXPECT_EQ(norm.kind(param), own->shape) << name_of(param);
    EXPECT_EQ(norm.role(param), own->role) << name_of(param);
    EXPECT_STREQ(norm.state_name(param), own->state_name);
    EXPECT_EQ(own->role == ParamRole::kCondition, own->shape == ParamKind::kPerSample) << name_of(param);
  }
}

TEST_P(Described, LayersHaveItsOptionsAndNoOthers) {
  EXPECT_EQ(info().has_residual_add, takes_residual(name()));
  EXPECT_EQ(info().has_dropout, takes_dropout(name()));
  const auto accepts = [&](const Options& options) {
    try {
      return Norm(name(), 8, options).dim() == 8;
    } catch (const std::invalid_argument&) {
      return false;
    }
  };
  EXPECT_EQ(info().has_eps, accepts({.eps = 0.5}));
  EXPECT_EQ(info().has_heads, accepts({.num_heads = 2}));
  EXPECT_EQ(info().has_sigma, accepts({.sigma = Sigma::kGelu}));
}

TEST_P(Described, OneSlotForEachParameter) {
  const Norm norm(name(), 64);
  EXPECT_EQ(norm.scratch_bytes(1, DType::kFloat32), info().params().size() * 64 * sizeof(float));
}

// What makes alpha and beta dynamic is the activation, whose value depends on the input.
TEST_P(Described, DynamicParametersAreThoseOfTheActivation) {
  for (const NormParamInfo& p : info().params()) {
    const bool of_activation = p.param == Param::kAlpha || p.param == Param::kBeta;
    EXPECT_EQ(p.role == ParamRole::kDynamic, info().has_sigma && of_activation) << p.state_name;
  }
}

INSTANTIATE_TEST_SUITE_P(Norms, Described, testing::ValuesIn(norm_names()),
                         [](const auto& test) { return test.param; });

TEST(NormInfo, AnUnknownNameIsRefusedWithTheNearest) {
  try {
    norm_info("seed_nrom");
    FAIL() << "no error";
  } catch (const std::invalid_argument& error) {
    EXPECT_NE(std::string(error.what()).find("seed_norm"), std::string::npos) << error.what();
  }
}

TEST(NormInfo, NamesOfRoles) {
  std::set<std::string> names;
  for (int i = 0; i < kNumParamRoles; ++i) names.insert(name_of(static_cast<ParamRole>(i)));
  EXPECT_EQ(names, (std::set<std::string>{"gain", "offset", "slope", "dynamic", "condition"}));
  EXPECT_STREQ(name_of(static_cast<ParamRole>(kNumParamRoles)), "unknown");
}

// y of a layer with its own initial values, but for gains of noise.
std::vector<float> result_at_start(std::string_view name, int64_t dim, int64_t rows) {
  const Norm norm(name, dim);
  std::vector<float> x(static_cast<size_t>(rows * dim)), y(x.size());
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(noise(1, i));
  ForwardArgs args{.rows = rows, .x = view(x.data()), .y = view(y.data())};
  ParamSet<std::vector<float>> values;
  for (const NormParamInfo& p : norm.info().params()) {
    std::vector<float>& value = values[p.param];
    value.assign(static_cast<size_t>(dim), static_cast<float>(norm.initial_value(p.param)));
    for (size_t i = 0; i < value.size() && p.role == ParamRole::kGain; ++i) {
      value[i] = static_cast<float>(noise(2, i));
    }
    args.params[p.param] = view(value.data());
  }
  norm.forward(args);
  return y;
}

TEST(NormInfo, ANormStartsAsTheOneThatItNames) {
  for (const std::string& name : norm_names()) {
    const char* const other = norm_info(name).starts_as;
    if (other == nullptr) continue;
    EXPECT_EQ(result_at_start(name, 40, 7), result_at_start(other, 40, 7)) << name;
  }
  EXPECT_STREQ(norm_info("seed_norm").starts_as, "rms_norm");
}

// Both of the paper's norms, in the words of its Section 3 and Table 4.
TEST(NormInfo, AlphaAndBetaOfThePaperAreDynamic) {
  for (const char* norm : {"seed_norm", "ada_seed_norm"}) {
    for (const Param param : {Param::kAlpha, Param::kBeta}) {
      EXPECT_EQ(norm_info(norm).find(param)->role, ParamRole::kDynamic) << norm << " " << name_of(param);
    }
  }
}

}  // namespace
}  // namespace seednorm::test

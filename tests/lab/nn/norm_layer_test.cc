// Norms as layers: their parameters are named, and decayed, as the norms' own descriptions say.
#include "lab/nn/norm_layer.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

#include "seednorm/norm.h"

namespace seednorm::lab {
namespace {

TEST(NormLayer, ParametersFollowTheDescription) {
  for (const std::string& name : norm_names()) {
    const NormInfo& info = norm_info(name);
    if (info.needs_condition()) {
      EXPECT_THROW(NormLayer(NormSpec::parse(name), 8), std::invalid_argument) << name;
      continue;
    }
    const NormLayer layer(NormSpec::parse(name), 8);
    EXPECT_EQ(layer.params().size(), info.params().size()) << name;
    const auto tensors = layer.named_parameters(/*recurse=*/false);
    EXPECT_EQ(tensors.size(), info.params().size()) << name;
    for (const NormParamInfo& p : info.params()) {
      EXPECT_TRUE(tensors.contains(p.state_name)) << name << " " << p.state_name;
      const Role wanted = p.role == ParamRole::kDynamic ? Role::kDynamic : Role::kGain;
      EXPECT_EQ(layer.role(p.state_name), wanted) << name << " " << p.state_name;
    }
  }
}

// What the paper decays: alpha and beta, and not gamma (Section 3, Table 4).
TEST(NormLayer, RolesOfSeeDNorm) {
  const NormLayer layer(NormSpec::parse("seed_norm"), 8);
  EXPECT_EQ(layer.role("weight"), Role::kGain);
  EXPECT_EQ(layer.role("alpha"), Role::kDynamic);
  EXPECT_EQ(layer.role("beta"), Role::kDynamic);
}

}  // namespace
}  // namespace seednorm::lab

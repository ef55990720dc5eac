#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include "lab/vision/interop/mae_dir.h"
#include "lab/vision/mae/workload.h"
#include "lab/vision/nn/sincos_positions.h"
#include "tests/lab/vision/picture_runs.h"

namespace seednorm::lab {
namespace {

class MaeRuns : public PictureRuns {
 protected:
  Recipe small(const std::vector<std::string>& more = {}) const {
    return recipe("mae-micro",
                  {"image_size=12", "patch_size=3", "dim=16", "num_layers=2", "num_heads=2", "ffn_dim=24",
                   "decoder_dim=8", "decoder_layers=1", "decoder_heads=2", "decoder_ffn_dim=12", "lr=1e-2",
                   "sample_count=2"},
                  more);
  }
};

TEST_F(MaeRuns, TrainsMeasuresAndShows) {
  const RunResult result = run(small({"norm=seed_norm(num_heads=4)", "steps=40", "eval_every=0"}), "a");
  EXPECT_FALSE(result.diverged);
  const auto lines = metrics("a");
  ASSERT_EQ(lines.size(), 41U);
  EXPECT_EQ(lines[0].at("images"), 4);
  EXPECT_LT(lines[39].at("loss"), lines[0].at("loss"));
  EXPECT_EQ(lines[40].at("metrics").at("val_loss"), result.value("val_loss"));
  EXPECT_EQ(lines[40].at("valid").at("images"), 9);
  // A PNG in base64.
  EXPECT_TRUE(lines[40].at("samples").at(0).at("image").get<std::string>().starts_with("iVBORw0KGgo"));
}

TEST_F(MaeRuns, ResumedEqualsUninterrupted) {
  expect_resumes(small({"norm=seed_norm(num_heads=4)"}), {"model.safetensors", "optimizer.safetensors"});
}

TEST_F(MaeRuns, RowsStandAlone) { expect_rows_alone(*make_workload(small())); }

// The gradients of micro-batches add up to those of the batch.
TEST_F(MaeRuns, MicroBatchesAreOneBatch) {
  run(small({"steps=1"}), "whole");
  run(small({"steps=1", "micro_batch_size=2"}), "parts");
  const double a = metrics("whole")[0].at("grad_norm"), b = metrics("parts")[0].at("grad_norm");
  EXPECT_TRUE(std::abs(a - b) <= 1e-5 * a);
}

TEST_F(MaeRuns, ACheckpointIsAModelDirectory) {
  run(small({"norm.decoder=dyt"}), "a");
  const auto folder = std::filesystem::path(folder_ / "a/checkpoints/step-00000006");
  const std::shared_ptr<Mae> model = load_mae(folder);
  EXPECT_EQ(model->config().norms["decoder"].text(), "dyt");
  EXPECT_EQ(model->config().dim, 16);
  const auto workload = make_workload(small({"norm.decoder=dyt"}));
  workload->load(folder);
  const std::vector<ParamInfo> a = model->params(), b = workload->params();
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(at::equal(a[i].tensor, b[i].tensor)) << a[i].name;
  EXPECT_TRUE(user_error([&] { make_workload(small({"ffn_dim=32"}))->load(folder); }).find("its shape is") !=
              std::string::npos);
}

// Fine-tuning (Table 15) begins with the encoder: the head is new and small, positions are trained.
TEST_F(MaeRuns, AClassifierBeginsWithTheEncoder) {
  run(small({"norm=seed_norm(num_heads=4)"}), "a");
  const std::string folder = folder_ / "a/checkpoints/step-00000006";
  const auto tuned = [&](const std::vector<std::string>& more = {}) {
    return recipe("vit-micro-finetune",
                  {"image_size=12", "patch_size=3", "dim=16", "num_layers=2", "num_heads=2", "ffn_dim=24",
                   "norm=seed_norm(num_heads=4, dropout=0.2)", "init_from=" + folder},
                  more);
  };
  const auto workload = make_workload(tuned()), fresh = make_workload(tuned({"init_from="}));
  const auto mae = load_mae(folder);
  const auto encoder = mae->named_parameters();
  const auto untouched = fresh->module().named_parameters();
  for (const ParamInfo& p : workload->params()) {
    if (p.name == "pos_embed") {
      EXPECT_TRUE(p.tensor.requires_grad());
      EXPECT_EQ(p.tensor[0][0].abs().max().item<float>(), 0) << "the class token's";
      EXPECT_TRUE(at::allclose(p.tensor[0].slice(0, 1), sincos_positions(16, 4)));
    } else if (p.name == "head.weight") {
      const double largest = p.tensor.abs().max().item<double>();
      EXPECT_TRUE(largest > 0 && largest <= 1e-4) << largest;
    } else if (p.name.starts_with("head.") || p.name.starts_with("fc_norm.")) {
      EXPECT_TRUE(at::equal(p.tensor, untouched[p.name])) << p.name;
    } else {
      EXPECT_TRUE(at::equal(p.tensor, encoder[p.name])) << p.name;
    }
    EXPECT_EQ(p.lr_scale < 1, !p.name.starts_with("head.") && !p.name.starts_with("fc_norm.")) << p.name;
  }
  expect_resumes(tuned(), {"model.safetensors", "optimizer.safetensors"});

  const auto message = [&](const std::string& setting) {
    return user_error([&] { make_workload(tuned({setting})); });
  };
  EXPECT_EQ(message("ffn_dim=32"),
            "ffn_dim: the masked autoencoder in " + folder + " has 24, the classifier 32");
  EXPECT_EQ(message("norm=seed_norm(num_heads=2)"),
            "norm.block: the masked autoencoder in " + folder +
                " has seed_norm(num_heads=4), the classifier seed_norm(num_heads=2)");
  EXPECT_TRUE(message("init_from=" + folder_.path().string()).starts_with("init_from: "));
  EXPECT_TRUE(message("init_from=" + folder_ / "a/checkpoints").starts_with("init_from: "));
  EXPECT_TRUE(user_error([&] {
                make_workload(recipe("convnext-micro", {"init_from=" + folder}));
              }).starts_with("init_from: a masked autoencoder's encoder is a ViT"));
  const auto vit = folder_ / "whole/checkpoints/step-00000006";
  EXPECT_NE(message("init_from=" + vit).find("model_type: expected \"vit_mae\""), std::string::npos);
}

TEST_F(MaeRuns, NamesMistakes) {
  EXPECT_TRUE(user_error([&] { make_workload(small({"train_data="})); }).starts_with("train_data: "));
  EXPECT_TRUE(user_error([&] {
                make_workload(small({"valid_data=" + folder_ / "train"}));
              }).starts_with("valid_data: "));
  EXPECT_EQ(user_error([&] { make_workload(small({"mask_ratio=0.99"})); }),
            "mask_ratio: expected a part that leaves and masks at least one of 16 patches, got 0.99");
  EXPECT_EQ(
      user_error([&] { make_workload(small({"norm=seed_norm(dropout=0.1)"})); }),
      "norm.encoder: blocks.0.norm1, of width 16: dropout: expected 0; this model is trained without it");
  EXPECT_TRUE(user_error([&] { make_workload(small({"norm=ada_seed_norm"})); }).find("needs a condition") !=
              std::string::npos);
}

}  // namespace
}  // namespace seednorm::lab

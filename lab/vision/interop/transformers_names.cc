#include "lab/vision/interop/transformers_names.h"

namespace seednorm::lab {

std::vector<std::string> names_in_vit_layer(const std::string& layer, const std::string& rest) {
  const auto replaced = [&](const std::string& ours, const std::string& theirs) {
    return std::vector<std::string>{layer + theirs + rest.substr(ours.size())};
  };
  if (rest.starts_with("attn.qkv")) {
    const std::string suffix = rest.substr(8), attention = layer + "attention.attention.";
    return {attention + "query" + suffix, attention + "key" + suffix, attention + "value" + suffix};
  }
  if (rest.starts_with("attn.proj")) return replaced("attn.proj", "attention.output.dense");
  if (rest.starts_with("mlp.fc1")) return replaced("mlp.fc1", "intermediate.dense");
  if (rest.starts_with("mlp.fc2")) return replaced("mlp.fc2", "output.dense");
  if (rest.starts_with("norm1")) return replaced("norm1", "layernorm_before");
  return replaced("norm2", "layernorm_after");
}

std::string name_in_vit_embeddings(const std::string& param) {
  const std::string conv = "patch_embed.proj.";
  if (param == "cls_token") return "vit.embeddings.cls_token";
  if (param == "pos_embed") return "vit.embeddings.position_embeddings";
  if (param.starts_with(conv))
    return "vit.embeddings.patch_embeddings.projection." + param.substr(conv.size());
  return "";
}

}  // namespace seednorm::lab

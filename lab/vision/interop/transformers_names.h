// Names that Hugging Face's transformers gives the parameters of its ViTs, which ViTMAE has too.
#ifndef SEEDNORM_LAB_VISION_INTEROP_TRANSFORMERS_NAMES_H_
#define SEEDNORM_LAB_VISION_INTEROP_TRANSFORMERS_NAMES_H_

#include <string>
#include <vector>

namespace seednorm::lab {

// What the files call the part `rest` of a block ("attn.proj.weight"); `layer` is the prefix of its layer
// there ("vit.encoder.layer.3."). Queries, keys and values are apart.
std::vector<std::string> names_in_vit_layer(const std::string& layer, const std::string& rest);

// What the files call a parameter of the embeddings, "cls_token", "pos_embed" or "patch_embed.proj.weight";
// empty for others.
std::string name_in_vit_embeddings(const std::string& param);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_INTEROP_TRANSFORMERS_NAMES_H_

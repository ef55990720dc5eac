"""SeeDNorm in the models and optimizers of timm.

    model = timm.create_model("vit_base_patch16_224", norm_layer=seednorm.integrations.timm.norm_layer(num_heads=16))
    optimizer = timm.optim.create_optimizer_v2(model, "adamw", lr=1e-3, weight_decay=0.05, layer_decay=0.75)
    seednorm.integrations.timm.decay(optimizer, model, 0.05)
"""

import functools
from typing import Any

import torch
from torch import nn

from ..modules import SeeDNorm
from ..param_groups import dynamic_names


def norm_layer(**options: Any) -> Any:
    """A value for timm's `norm_layer=`: it makes SeeDNorm with these options.

    For models whose norms take the last dimension (ViT, Swin, Mixer), and not channels before height and width.
    """
    return functools.partial(SeeDNorm, **options)


def decay(optimizer: torch.optim.Optimizer, model: nn.Module, weight_decay: float) -> None:
    """Moves alpha and beta of the model to groups with this weight decay, which keep the other options of their old groups.

    timm does not decay vectors. A group of a layer, which has its own learning rate, is split in two. Call this before
    the optimizer's first step and before a schedule is made for it.

    Raises ValueError for a weight_decay that is not positive.
    """
    if not weight_decay > 0:
        raise ValueError(f"[decay] weight_decay: expected a number > 0, got {weight_decay}")
    names = dynamic_names(model)
    dynamic = {id(p) for name, p in model.named_parameters() if name in names}
    groups = []
    for group in optimizer.param_groups:
        ours = [p for p in group["params"] if id(p) in dynamic]
        rest = [p for p in group["params"] if id(p) not in dynamic]
        if ours and group["weight_decay"] != weight_decay:
            groups.append({**group, "params": ours, "weight_decay": weight_decay})
            group["params"] = rest
        if group["params"]:
            groups.append(group)
    optimizer.param_groups[:] = groups

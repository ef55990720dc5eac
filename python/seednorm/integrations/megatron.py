"""SeeDNorm in Megatron-core: a module for its specs, and weight decay of alpha and beta.

    spec = seednorm.integrations.megatron.block_spec(config, get_gpt_layer_local_spec(normalization="RMSNorm"))
    model = GPTModel(config, spec, ...)
    overrides = seednorm.integrations.megatron.config_overrides(optimizer_config, [model])
    optimizer = get_megatron_optimizer(optimizer_config, [model], config_overrides=overrides)
"""

import copy
from collections.abc import Sequence
from typing import Any

from megatron.core.optimizer import OptimizerConfig, get_standard_config_overrides
from megatron.core.optimizer.optimizer_config import ParamKey, ParamWithNamePredicate
from megatron.core.transformer import ModuleSpec, TransformerConfig
from megatron.core.transformer.identity_op import IdentityOp
from megatron.core.transformer.transformer_block import TransformerBlockSubmodules
from torch import nn

from .. import modules
from ..param_groups import dynamic_names


class SeeDNorm(modules.SeeDNorm):
    """seednorm.SeeDNorm with the arguments that Megatron gives a norm.

    Its gradients are sums over the tokens of a rank. With sequence parallelism Megatron adds those of parameters that
    have the attribute `sequence_parallel`, so gamma, alpha and beta have it.
    """

    def __init__(
        self, config: TransformerConfig, hidden_size: int, eps: float = 1e-5, *, seed_norm: dict[str, Any] | None = None,
        **ignored: Any,  # persist_layer_norm and normalization select one of Megatron's own norms
    ) -> None:  # fmt: skip
        form = "plus_one" if config.layernorm_zero_centered_gamma else "vector"
        super().__init__(hidden_size, eps=eps, gamma_form=form, dtype=config.params_dtype, **(seed_norm or {}))
        for p in self.parameters():
            p.sequence_parallel = config.sequence_parallel  # type: ignore[attr-defined]
        if not config.use_cpu_initialization:
            self.to("cuda")


def block_spec(config: TransformerConfig, layer_spec: ModuleSpec, **options: Any) -> TransformerBlockSubmodules:
    """The spec that GPTModel takes, for blocks in which every norm, including the last one, is SeeDNorm.

    layer_spec: the spec of a layer with norms of its own (`get_gpt_layer_local_spec`); norms that Transformer Engine
    fuses into linear layers cannot be replaced. options: those of seednorm.SeeDNorm.

    Raises ValueError if the layer has no norm of its own.
    """
    norm = ModuleSpec(module=SeeDNorm, params={"seed_norm": options})
    layer = copy.deepcopy(layer_spec)
    attention = layer.submodules.self_attention.submodules
    places = [(layer.submodules, name) for name in ("input_layernorm", "pre_cross_attn_layernorm", "pre_mlp_layernorm")]
    places += [(attention, name) for name in ("q_layernorm", "k_layernorm", "kv_layernorm")]
    found = [(part, name) for part, name in places if getattr(part, name, IdentityOp) not in (IdentityOp, None)]
    if (layer.submodules, "input_layernorm") not in found:
        raise ValueError(
            "[block_spec] layer_spec: expected a layer with norms of its own, as get_gpt_layer_local_spec makes it, "
            "got one whose norms are parts of linear layers"
        )
    for part, name in found:
        setattr(part, name, norm)
    return TransformerBlockSubmodules(layer_specs=[layer] * config.num_layers, layer_norm=norm)


def config_overrides(config: OptimizerConfig, model_chunks: Sequence[nn.Module]) -> dict[Any, Any]:
    """Megatron's own rules for weight decay, which spare vectors and biases, except that alpha and beta are decayed."""
    spared = set()
    for chunk in model_chunks:
        parameters = dict(chunk.named_parameters())
        spared |= {id(parameters[name]) for name in dynamic_names(chunk)}
    overrides: dict[Any, Any] = {}
    for key, override in get_standard_config_overrides(config).items():
        if override.get("wd_mult") == 0.0:
            rule = ParamWithNamePredicate(
                name=f"not decayed, {len(overrides)}",
                fn=lambda p, name, key=key: key.matches(p, name) and id(p) not in spared,
            )
            key = ParamKey(with_name_predicate=rule)
        overrides[key] = override
    return overrides

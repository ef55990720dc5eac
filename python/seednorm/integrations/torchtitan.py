"""SeeDNorm in torchtitan: an override of its RMSNorm, and parameter groups that decay alpha and beta.

    --override.imports 'seednorm.integrations.torchtitan.seed_norm={"num_heads": 4}'
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn
from torchtitan.components.optimizer import ParamGroupConfig
from torchtitan.config import derive, override
from torchtitan.models.common.nn_modules import RMSNorm
from torchtitan.protocols.module import Module

from .. import modules


class SeeDNorm(modules.SeeDNorm, Module):
    """seednorm.SeeDNorm that torchtitan builds from a Config. An eps of None is float32's, as in torch.nn.RMSNorm."""

    @dataclass(kw_only=True, slots=True)
    class Config(RMSNorm.Config):
        num_heads: int = 1
        alpha_init: float = 1.0
        sigma: str = "tanh"
        dot_scale: float = 1.0
        dropout: float = 0.0

    def __init__(self, config: Config) -> None:
        eps = torch.finfo(torch.float32).eps if config.eps is None else config.eps
        super().__init__(
            config.normalized_shape, config.num_heads, config.alpha_init, eps, config.sigma, config.dot_scale, config.dropout
        )

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        """torchtitan's shardings of a norm call its argument `input`."""
        return super().forward(input)


@override(target=RMSNorm.Config, exact=True, description="SeeDNorm in the place of RMSNorm")
def seed_norm(config: RMSNorm.Config, **options: Any) -> RMSNorm.Config:
    """Replaces RMSNorms that have a gain with SeeDNorm, with these options. alpha and beta are sharded as gamma is."""
    if not config.elementwise_affine:
        return config
    new: SeeDNorm.Config = derive(config, SeeDNorm.Config, **options)
    if config.param_init is not None:
        init = {"alpha": lambda p: nn.init.constant_(p, new.alpha_init), "beta": nn.init.zeros_}
        new.param_init = {**init, **config.param_init}
    sharding = config.sharding_config
    if sharding is not None and "weight" in sharding.state_shardings:
        layout = sharding.state_shardings["weight"]
        shardings = {"alpha": layout, "beta": layout, **sharding.state_shardings}
        new.sharding_config = replace(sharding, state_shardings=shardings)
    return new


def decayed_group(optimizer_kwargs: dict[str, Any], optimizer_name: str = "AdamW") -> ParamGroupConfig:
    """A group of alpha and beta of every SeeDNorm, with these arguments; it must come before all other param_groups.

    Raises ValueError unless optimizer_kwargs has a positive weight_decay.
    """
    if not optimizer_kwargs.get("weight_decay", 0) > 0:
        raise ValueError(f"[decayed_group] optimizer_kwargs: expected a weight_decay > 0, got {optimizer_kwargs}")
    return ParamGroupConfig(
        pattern=r"norm\w*\.(alpha|beta)$", optimizer_name=optimizer_name, optimizer_kwargs=dict(optimizer_kwargs)
    )

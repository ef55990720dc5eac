"""SeeDNorm in OLMo-core: a configuration of a layer norm that builds ours.

    config = TransformerConfig.olmo2_1B(vocab_size)
    seednorm.integrations.olmo_core.use_seed_norm(config, num_heads=16)
"""

from dataclasses import dataclass, fields
from typing import Any

from olmo_core.exceptions import OLMoConfigurationError
from olmo_core.nn.layer_norm import LayerNormConfig, LayerNormType
from olmo_core.nn.transformer import TransformerConfig

from ..modules import SeeDNorm


@dataclass
class SeeDNormConfig(LayerNormConfig):
    """Builds seednorm.SeeDNorm wherever OLMo-core takes a LayerNormConfig: in blocks, on q and k, and in the head.

    `eps` and `dtype` are options of OLMo-core; the others are those of SeeDNorm. The layer computes in float32 and has a
    gain but no bias, so `full_precision` and `elementwise_affine` must be true if they are given, and `bias` false.
    """

    num_heads: int = 1
    alpha_init: float = 1.0
    sigma: str = "tanh"
    dot_scale: float = 1.0
    dropout: float = 0.0

    def num_params(self, size: int) -> int:
        return 3 * size

    def build(
        self, size: int, init_device: str = "cpu", weight_shape: tuple[int, ...] | None = None
    ) -> SeeDNorm:  # type: ignore[override]
        """Raises OLMoConfigurationError for gains per head, a bias and other precisions, which SeeDNorm does not have."""
        if weight_shape is not None and tuple(weight_shape) != (size,):
            raise OLMoConfigurationError(
                f"[SeeDNormConfig] weight_shape: expected ({size},), got {tuple(weight_shape)}; SeeDNorm has one gain "
                "for all heads, which use_head_qk_norm=True without gains per head gives"
            )
        wanted = {"bias": False, "elementwise_affine": True, "full_precision": True}
        for name, value in wanted.items():
            if getattr(self, name) not in (None, value):
                raise OLMoConfigurationError(f"[SeeDNormConfig] {name}: expected {value}, got {getattr(self, name)}")
        options = {f.name: getattr(self, f.name) for f in fields(SeeDNormConfig) if f.name in _OURS}
        eps = 1e-5 if self.eps is None else self.eps
        dtype = None if self.dtype is None else self.dtype.as_pt()
        return SeeDNorm(size, eps=eps, device=init_device, dtype=dtype, **options)


_OURS = ("num_heads", "alpha_init", "sigma", "dot_scale", "dropout")
_RMS = (LayerNormType.rms, LayerNormType.qwen_rms, LayerNormType.nemotron_rms, LayerNormType.cute_rms,
        LayerNormType.fused_rms)  # fmt: skip


def use_seed_norm(config: TransformerConfig, **options: Any) -> TransformerConfig:
    """Replaces every RMSNorm in a configuration by SeeDNorm with these options, in place; returns the configuration.

    eps and dtype are kept. If queries and keys are normalized, num_heads must divide the width of their norms too.

    Raises OLMoConfigurationError if the configuration has no RMSNorm.
    """
    found = 0

    def replaced(value: Any) -> Any:
        nonlocal found
        if type(value) is LayerNormConfig and value.name in _RMS:
            found += 1
            return SeeDNormConfig(name=value.name, eps=value.eps, dtype=value.dtype, bias=value.bias, **options)
        if isinstance(value, dict):
            return {key: replaced(item) for key, item in value.items()}
        return value

    def visit(part: Any) -> None:
        for f in fields(part):
            setattr(part, f.name, replaced(getattr(part, f.name)))

    config.apply(visit)
    if not found:
        raise OLMoConfigurationError("[use_seed_norm] config: expected norms of a type of RMSNorm, found none")
    return config

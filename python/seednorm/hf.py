"""The language lab's models in Hugging Face transformers.

    import seednorm.hf
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)   # a checkpoint of `seednorm train`
    model.save_pretrained(other)                                        # that the lab reads again

The import registers the model types seednorm_olmo2 and seednorm_olmoe: OLMo2 and OLMoE of transformers with other norms,
which the member `seednorm` of config.json names for each position:

    "seednorm": {"norm": {"block": NORM, "qk": NORM, "output": NORM},   # as "seed_norm(num_heads=4, alpha_init=0.1)"
                 "qk_norm": "head" or "all",        # queries and keys are normalized by head, or all heads at once
                 "frac_rate": 0,                    # Frac-Connections are not supported here
                 "embedding_scale": false}          # a learned factor on the embedding

Parameters have the lab's names, so that no key is missing or unexpected. Models with RMSNorm everywhere need none of this:
they are plain olmo2 and olmoe.

Models of other types that `seednorm.convert` changed need only `import seednorm`.
"""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from . import _transformers, modules

try:
    from transformers import (
        AutoConfig,
        AutoModel,
        AutoModelForCausalLM,
        Olmo2Config,
        Olmo2ForCausalLM,
        Olmo2Model,
        OlmoeConfig,
        OlmoeForCausalLM,
        OlmoeModel,
        conversion_mapping,
        initialization,
    )
except ImportError as error:
    raise ImportError("seednorm.hf needs transformers 5 or later: pip install 'transformers>=5'") from error

__all__ = [
    "SeeDNormOlmo2Config",
    "SeeDNormOlmo2ForCausalLM",
    "SeeDNormOlmo2Model",
    "SeeDNormOlmoeConfig",
    "SeeDNormOlmoeForCausalLM",
    "SeeDNormOlmoeModel",
]

_POSITIONS = ("block", "qk", "output")
# A decoder has no condition to give to a norm.
_NORMS = {cls.name: cls for cls in (getattr(modules, name) for name in modules.__all__) if not cls.info.needs_condition}


class _PerHead(modules._Norm):
    """Normalizes each head of [..., heads * dim]."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.unflatten(-1, (-1, self.dim))).flatten(-2)


# Found by their names when a model is pickled.
_PER_HEAD = {name: type(f"_PerHead{cls.__name__}", (_PerHead, cls), {}) for name, cls in _NORMS.items()}
globals().update({cls.__name__: cls for cls in _PER_HEAD.values()})


def _settings(spec: str, dim: int, eps: float) -> tuple[str, dict[str, Any]]:
    """The norm's name and its module's arguments of "NAME" or "NAME(setting=value, ...)", as the lab writes them."""
    name, bracket, rest = spec.partition("(")
    if name not in _NORMS or rest[-1:] != (")" if bracket else ""):
        raise ValueError(f"expected one of {', '.join(_NORMS)}, with settings in brackets or without")
    pairs = dict(pair.strip().split("=") for pair in rest[:-1].split(",") if pair.strip())
    arguments: dict[str, Any] = {"eps": eps} if "eps" in _NORMS[name].info.options else {}
    for key, value in pairs.items():
        if key == "dot_scale" and value == "1/d":
            arguments[key] = int(pairs.get("num_heads", 1)) / dim
        elif key in ("gamma", "alpha", "beta"):
            arguments[f"{key}_form"] = value
        else:
            arguments[key] = value if key == "sigma" else int(value) if key == "num_heads" else float(value)
    return name, arguments


def _norm(config: Any, position: str, dim: int, like: nn.Module, per_head: bool = False) -> nn.Module:
    spec, weight = config.seednorm["norm"][position], like.get_parameter("weight")
    try:
        name, arguments = _settings(spec, dim, config.rms_norm_eps)
        return (_PER_HEAD if per_head else _NORMS)[name](dim, **arguments, device=weight.device, dtype=weight.dtype)
    except (TypeError, ValueError) as error:  # TypeError: a setting that this norm does not have
        raise ValueError(f"[seednorm.hf] norm.{position} {spec!r}: {error}") from error


def _replace_norms(model: nn.Module, config: Any) -> None:
    """Puts the configured norms where OLMo's RMSNorms are."""
    per_head = config.seednorm["qk_norm"] == "head"
    width = config.hidden_size // config.num_attention_heads
    for layer in model.layers:
        attention = layer.self_attn
        for name, heads in (("q_norm", config.num_attention_heads), ("k_norm", config.num_key_value_heads)):
            dim = width if per_head else width * heads
            setattr(attention, name, _norm(config, "qk", dim, getattr(attention, name), per_head))
        for name in ("input_layernorm", "post_attention_layernorm", "post_feedforward_layernorm"):
            if hasattr(layer, name):
                setattr(layer, name, _norm(config, "block", config.hidden_size, getattr(layer, name)))
    model.norm = _norm(config, "output", config.hidden_size, model.norm)


class _EmbeddingScale(nn.Module):
    """A learned factor on the embedding, sqrt(hidden_size) at first."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.initial_value = hidden_size**0.5
        self.weight = nn.Parameter(torch.full((1,), self.initial_value))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight


class _Config:
    """Checks the member `seednorm` of the configuration."""

    seednorm: dict[str, Any] | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        everywhere = dict.fromkeys(_POSITIONS, "seed_norm")
        defaults = {"norm": everywhere, "qk_norm": "all", "frac_rate": 0, "embedding_scale": False}
        self.seednorm = own = defaults | (self.seednorm or {})
        _expect("settings", sorted(own.keys() - {"modules"}), sorted(defaults))
        _expect("positions of norm", sorted(own["norm"]), sorted(_POSITIONS))
        if own["frac_rate"] != 0:
            raise ValueError("[seednorm.hf] frac_rate: Frac-Connections work in the lab only, not in transformers")
        if own["qk_norm"] not in ("head", "all"):
            raise ValueError(f"[seednorm.hf] qk_norm: expected 'head' or 'all', got {own['qk_norm']!r}")


def _expect(what: str, got: list[str], expected: list[str]) -> None:
    if got != expected:
        raise ValueError(f"[seednorm.hf] {what}: expected {', '.join(expected)}, got {', '.join(got)}")


class SeeDNormOlmo2Config(_Config, Olmo2Config):
    model_type = "seednorm_olmo2"


class SeeDNormOlmoeConfig(_Config, OlmoeConfig):
    model_type = "seednorm_olmoe"


class _Init:
    """Initial values of our layers, where a checkpoint does not have them."""

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, modules._Norm):
            _transformers.initialize(module)
        elif isinstance(module, _EmbeddingScale):
            initialization.constant_(module.weight, module.initial_value)
        else:
            super()._init_weights(module)


class _Model(_Init):
    def __init__(self, config: Any) -> None:
        super().__init__(config)
        _replace_norms(self, config)
        self.embed_scale = _EmbeddingScale(config.hidden_size) if config.seednorm["embedding_scale"] else None
        self.post_init()

    def forward(self, input_ids: Tensor | None = None, *args: Any, inputs_embeds: Tensor | None = None, **kwargs: Any) -> Any:
        if self.embed_scale is not None and inputs_embeds is None:
            input_ids, inputs_embeds = None, self.embed_scale(self.embed_tokens(input_ids))
        return super().forward(input_ids, *args, inputs_embeds=inputs_embeds, **kwargs)


class SeeDNormOlmo2Model(_Model, Olmo2Model):
    config: SeeDNormOlmo2Config
    config_class: ClassVar = SeeDNormOlmo2Config


class SeeDNormOlmoeModel(_Model, OlmoeModel):
    config: SeeDNormOlmoeConfig
    config_class: ClassVar = SeeDNormOlmoeConfig


class SeeDNormOlmo2ForCausalLM(_Init, Olmo2ForCausalLM):
    config: SeeDNormOlmo2Config
    config_class: ClassVar = SeeDNormOlmo2Config

    def __init__(self, config: SeeDNormOlmo2Config) -> None:
        super().__init__(config)
        self.model = SeeDNormOlmo2Model(config)
        self.post_init()


class SeeDNormOlmoeForCausalLM(_Init, OlmoeForCausalLM):
    config: SeeDNormOlmoeConfig
    config_class: ClassVar = SeeDNormOlmoeConfig

    def __init__(self, config: SeeDNormOlmoeConfig) -> None:
        super().__init__(config)
        self.model = SeeDNormOlmoeModel(config)
        self.post_init()


def _register() -> None:
    for config, model, causal in (
        (SeeDNormOlmo2Config, SeeDNormOlmo2Model, SeeDNormOlmo2ForCausalLM),
        (SeeDNormOlmoeConfig, SeeDNormOlmoeModel, SeeDNormOlmoeForCausalLM),
    ):
        AutoConfig.register(config.model_type, config, exist_ok=True)
        AutoModel.register(config, model, exist_ok=True)
        AutoModelForCausalLM.register(config, causal, exist_ok=True)
    # Files have a matrix for each expert, transformers' modules have them stacked.
    stacks = conversion_mapping.get_checkpoint_conversion_mapping(OlmoeConfig.model_type)
    conversion_mapping.register_checkpoint_conversion_mapping(SeeDNormOlmoeConfig.model_type, stacks, overwrite=True)


_register()

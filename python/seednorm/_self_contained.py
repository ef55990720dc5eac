"""A converted transformers model that anybody can load: with a modeling file in plain PyTorch beside its weights."""

import pathlib
from typing import Any

from . import _record

_FILE = "modeling_seednorm"


def save_pretrained(model: Any, folder: Any, self_contained: bool = False, **options: Any) -> None:
    """model.save_pretrained(folder, **options), and with `self_contained` what loads it without this package.

        seednorm.save_pretrained(model, "shared", self_contained=True)
        model = transformers.AutoModelForCausalLM.from_pretrained("shared", trust_remote_code=True)

    The folder then has modeling_seednorm.py, the formulas in plain PyTorch, which config.json names in `auto_map`; where
    this package is installed, the file uses its layers instead, and outputs are the same to the bit.

    Raises ValueError for a model that `convert` has not changed, or whose class transformers does not have.
    """
    if not _record.has_layers(model):
        raise ValueError("[save_pretrained] model: expected a transformers model that seednorm.convert has changed")
    if not self_contained:
        model.save_pretrained(folder, **options)
        return
    import transformers

    from . import hf  # noqa: F401

    name = type(model).__name__
    if getattr(transformers, name, None) is not type(model):
        raise ValueError(f"[save_pretrained] model: expected a class that transformers has, got {name}")
    autos = [auto for auto in dir(transformers) if auto.startswith("AutoModel") and _makes(getattr(transformers, auto), model)]
    if not autos:
        raise ValueError(f"[save_pretrained] model: no AutoModel class of transformers makes a {name}")
    before = getattr(model.config, "auto_map", None)
    model.config.auto_map = {auto: f"{_FILE}.SeeDNorm{name}" for auto in autos}
    try:
        model.save_pretrained(folder, **options)
    finally:
        if before is None:
            del model.config.auto_map
        else:
            model.config.auto_map = before
    here = pathlib.Path(__file__).parent
    source = (here / "_plain_modeling.py").read_text()
    source += f"\n\nclass SeeDNorm{name}(_Rebuilt, transformers.{name}):\n    pass\n"
    (pathlib.Path(folder) / f"{_FILE}.py").write_text(source)


def _makes(auto: Any, model: Any) -> bool:
    """Whether this AutoModel class of transformers makes models of that class from their configuration."""
    mapping = getattr(auto, "_model_mapping", None)
    return mapping is not None and mapping.get(type(model.config), None) is type(model)

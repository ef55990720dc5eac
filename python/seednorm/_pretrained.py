"""Loading converted transformers models."""

from typing import Any

from . import _record


def from_pretrained(folder: Any, **options: Any) -> Any:
    """The model that `convert` changed and `save_pretrained` wrote, with its layers: the same outputs, bit for bit.

        model = seednorm.from_pretrained("trained")

    folder: a folder, or a name on the Hub. options are those of transformers' from_pretrained: dtype, device_map, ...
    The class is the one that was saved. transformers' own AutoModel... classes load such models too, in every program that
    imports this package, but they accept a checkpoint without alpha and beta.

    Raises ValueError for a model without the entry `seednorm` in its config.json, and for a checkpoint without the
    parameters that the entry asks for; ImportError without transformers.
    """
    from . import hf

    import transformers

    config = options.pop("config", None)
    if config is None:
        shared = ("cache_dir", "force_download", "local_files_only", "token", "revision", "subfolder")
        given = {key: options[key] for key in shared if key in options}
        config = transformers.AutoConfig.from_pretrained(folder, **given)
    if not getattr(config, "seednorm", None):
        raise ValueError(
            f"[from_pretrained] {folder}: its config.json has no entry 'seednorm', so no conversion is known; load it with "
            "transformers and use seednorm.convert"
        )
    name = (config.architectures or ["no architecture"])[0]
    cls = getattr(transformers, name, None) or getattr(hf, name, None)
    if cls is None:
        raise ValueError(f"[from_pretrained] {folder}: transformers {transformers.__version__} has no class {name}")
    wants_info = options.pop("output_loading_info", False)
    model, info = cls.from_pretrained(folder, config=config, output_loading_info=True, **options)
    lost = _record.unfulfilled(model)
    if lost:
        names = ", ".join(lost)
        raise ValueError(f"[from_pretrained] {folder}: config.json names modules that {name} does not have: {names}")
    missing = sorted(key for key in info["missing_keys"] if _is_ours(model, key))
    if missing:
        raise ValueError(
            f"[from_pretrained] {folder}: the checkpoint lacks {len(missing)} tensors of its norms, {missing[0]} first"
        )
    return (model, info) if wants_info else model


def _is_ours(model: Any, key: str) -> bool:
    parent = key.rpartition(".")[0]
    return any(name == parent and isinstance(module, _record._Norm) for name, module in model.named_modules())

"""Our ViT and ConvNeXt against timm's on the same random weights: logits, every gradient, and what is written.

    SEEDNORM_TIMM_TOOL=build/lab/tests/lab/lab_timm_tool python -m pytest tests/lab/vision/interop/timm_models_parity_test.py
"""
import json
import os
import pathlib
import subprocess
import sys

import pytest

TOOL = os.environ.get("SEEDNORM_TIMM_TOOL")
ROOT = pathlib.Path(__file__).resolve().parents[4]
# script/setup-torch puts timm and torchvision there, without what they depend on.
sys.path[:0] = [os.environ.get("SEEDNORM_TIMM_DIR", str(ROOT / "build" / "timm")),
                str(pathlib.Path(__file__).parent.parent / "data")]
try:
    import timm_shim  # noqa: F401; before timm
    import timm
    import torch
    from safetensors.torch import load_file, save_file
    REASON = None
except ImportError as error:
    REASON = f"timm cannot be imported ({error}); script/setup-torch installs it"
pytestmark = [pytest.mark.skipif(not TOOL, reason="SEEDNORM_TIMM_TOOL names no program"),
              pytest.mark.skipif(REASON is not None, reason=str(REASON))]

# Sums of up to some thousand products in another order: a few units in the last place of the largest number.
BOUND = 3e-5

# Sides, widths and numbers of tokens differ, so that no axis can be taken for another.
VIT = ("vit_base_patch16_224", dict(img_size=24, patch_size=4, embed_dim=48, depth=3, num_heads=4, mlp_ratio=3.0,
                                    global_pool="avg"))
VIT_TOKEN = ("vit_base_patch16_224", dict(img_size=24, patch_size=4, embed_dim=48, depth=3, num_heads=4, mlp_ratio=3.0))
CONVNEXT = ("convnext_base", dict(patch_size=3, depths=(1, 2, 1, 1), dims=(12, 20, 28, 36), ls_init_value=0.5))


def timm_model(name, arguments, num_classes):
    torch.manual_seed(1)
    model = timm.create_model(name, pretrained=False, num_classes=num_classes, **arguments)
    with torch.no_grad():
        for parameter in model.parameters():  # zeros and ones show nothing
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


def write_model(folder, model, name, arguments, side, num_classes):
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({
        "architecture": name, "num_classes": num_classes, "model_args": arguments,
        "pretrained_cfg": {"input_size": [3, side, side], "mean": [0.5, 0.25, 0.125], "std": [0.5, 1, 2], "crop_pct": 1.0}}))
    save_file({key: value.contiguous() for key, value in model.state_dict().items()}, folder / "model.safetensors")


def relative_difference(ours, theirs):
    return ((ours - theirs).abs().max() / theirs.abs().max().clamp_min(1e-20)).item()


@pytest.mark.parametrize("name, arguments, side", [(*VIT, 24), (*VIT_TOKEN, 24), (*CONVNEXT, 48)],
                         ids=["vit", "vit_token", "convnext"])
def test_logits_gradients_and_files(tmp_path, name, arguments, side):
    num_classes, rows = 7, 3
    model = timm_model(name, arguments, num_classes).eval()
    write_model(tmp_path / "in", model, name, arguments, side, num_classes)
    pixels, weights = torch.randn(rows, side, side, 3), torch.randn(rows, num_classes)
    save_file({"pixels": pixels, "weights": weights}, tmp_path / "in" / "inputs.safetensors")
    (tmp_path / "out").mkdir()
    subprocess.run([TOOL, tmp_path / "in", tmp_path / "out"], check=True)

    logits = model(pixels.permute(0, 3, 1, 2).contiguous())
    (logits * weights).sum().backward()
    ours = load_file(tmp_path / "out" / "outputs.safetensors")
    assert relative_difference(ours.pop("logits"), logits.detach()) <= BOUND
    gradients = {key: value.grad for key, value in model.named_parameters()}
    assert ours.keys() == gradients.keys()
    for key, gradient in gradients.items():
        # A qkv bias's part for the keys moves no softmax: its gradient is rounding alone, beside the others'.
        assert relative_difference(ours[key], gradient) <= BOUND, key

    # timm reads back what was written, to the bit.
    back = timm.create_model(f"local-dir:{tmp_path / 'out'}", pretrained=True)
    for key, value in model.state_dict().items():
        assert torch.equal(back.state_dict()[key], value), key
    assert torch.equal(back.eval()(pixels.permute(0, 3, 1, 2).contiguous()), logits)
    assert back.pretrained_cfg["mean"] == [0.5, 0.25, 0.125] and back.pretrained_cfg["crop_pct"] == 1.0


# Sizes come from the architecture's name where the file has no arguments.
@pytest.mark.parametrize("name, arguments", [("vit_tiny_patch16_224", {"global_pool": "avg"}), ("vit_tiny_patch16_224", {}),
                                             ("convnext_tiny", {})])
def test_architectures_by_name(tmp_path, name, arguments):
    model = timm_model(name, arguments, 5)
    write_model(tmp_path / "in", model, name, arguments, 224, 5)
    pixels = torch.randn(1, 224, 224, 3)
    save_file({"pixels": pixels, "weights": torch.ones(1, 5)}, tmp_path / "in" / "inputs.safetensors")
    (tmp_path / "out").mkdir()
    subprocess.run([TOOL, tmp_path / "in", tmp_path / "out"], check=True)
    ours = load_file(tmp_path / "out" / "outputs.safetensors")["logits"]
    with torch.no_grad():
        assert relative_difference(ours, model.eval()(pixels.permute(0, 3, 1, 2).contiguous())) <= BOUND


def fails(tmp_path, change):
    """What the program says of a model whose configuration or tensors were changed."""
    name, arguments = VIT
    model = timm_model(name, arguments, 7)
    write_model(tmp_path / "in", model, name, arguments, 24, 7)
    change(tmp_path / "in")
    (tmp_path / "out").mkdir()
    result = subprocess.run([TOOL, tmp_path / "in", tmp_path / "out"], capture_output=True, text=True)
    assert result.returncode == 2 and result.stderr.count("\n") == 1
    return result.stderr


def change_config(**changes):
    def change(folder):
        config = json.loads((folder / "config.json").read_text())
        config.update(changes)
        (folder / "config.json").write_text(json.dumps(config))
    return change


def change_tensors(change):
    def apply(folder):
        tensors = load_file(folder / "model.safetensors")
        change(tensors)
        save_file(tensors, folder / "model.safetensors")
    return apply


@pytest.mark.parametrize("change, expected", [
    (change_config(architecture="resnet50"), "architecture: expected timm's vit_"),
    (change_config(architecture=5), "architecture: expected a string, got 5"),
    (change_config(num_classes=9), "tensor \"head.weight\": its shape is [7, 48], that of config.json's model [9, 48]"),
    (change_config(architecture="convnext_tiny", model_args={"patch_size": 2}), "halves the sides before its first stage"),
    (change_config(model_args={"qk_norm": True}), "model_args: no argument \"qk_norm\" of value true is known"),
    (change_config(model_args={"global_pool": "map"}), "expected avg or token, got \"map\""),
    (change_tensors(lambda t: t.pop("fc_norm.bias")), "tensor \"fc_norm.bias\": is missing"),
    (change_tensors(lambda t: t.update(extra=t["fc_norm.bias"] + 1)), "tensor \"extra\": config.json's model has no such"),
    (change_tensors(lambda t: t.update({"fc_norm.bias": t["fc_norm.bias"].long()})), "its dtype is Long"),
], ids=range(9))
def test_what_does_not_fit_is_named(tmp_path, change, expected):
    assert expected in fails(tmp_path, change)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-q"]))

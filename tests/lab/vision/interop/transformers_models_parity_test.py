"""Our ViT and ConvNeXt against transformers' classifiers on the same random weights: logits, every gradient, and what is
written; and models of pictures that another library does not have, which are refused.

Needs the packages torch and transformers; what is not there is skipped. SEEDNORM_TIMM_TOOL is the program lab_timm_tool,
SEEDNORM_PROGRAM seednorm, SEEDNORM_PACKAGES a folder with further packages.
"""
import json
import os
import pathlib
import subprocess
import sys

import pytest

sys.path.append(os.environ.get("SEEDNORM_PACKAGES", ""))
torch = pytest.importorskip("torch")
sys.path.append(str(pathlib.Path(__file__).parent.parent / "data"))
import timm_shim  # noqa: E402, F401: transformers imports torchvision where it is there
transformers = pytest.importorskip("transformers")
safetensors = pytest.importorskip("safetensors.torch")

TOOL, PROGRAM = os.environ["SEEDNORM_TIMM_TOOL"], os.environ["SEEDNORM_PROGRAM"]

# Sums of up to some thousand products in another order: a few units in the last place of the largest number.
BOUND = 3e-5
CLASSES, ROWS = 7, 3


def make_vit(**changes):
    return transformers.ViTForImageClassification(transformers.ViTConfig(**{
        "image_size": 24, "patch_size": 4, "hidden_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4,
        "intermediate_size": 140, "num_labels": CLASSES, **changes}))


def make_convnext(**changes):
    return transformers.ConvNextForImageClassification(transformers.ConvNextConfig(**{
        "image_size": 32, "patch_size": 2, "depths": [1, 2, 1], "hidden_sizes": [12, 20, 28], "num_stages": 3,
        "layer_scale_init_value": 0.5, "num_labels": CLASSES, **changes}))


def randomize(model):
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model.eval()


def convert(*arguments, code=0):
    done = subprocess.run([PROGRAM, "convert", *arguments], capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    assert code == 0 or done.stderr.count("\n") == 1, done.stderr
    return done.stderr if code else done.stdout


def relative_difference(ours, theirs):
    return ((ours - theirs).abs().max() / theirs.abs().max().clamp_min(1e-20)).item()


@pytest.mark.parametrize("make, changes", [
    (make_vit, {}), (make_vit, {"layer_norm_eps": 0.1, "num_labels": 2}), (make_convnext, {}),
    (make_convnext, {"layer_norm_eps": 0.1, "patch_size": 4, "num_stages": 2, "depths": [2, 1], "hidden_sizes": [12, 20]}),
], ids=["vit", "vit_eps", "convnext", "convnext_eps"])
def test_logits_gradients_and_files(tmp_path, make, changes):
    model = randomize(make(**changes))
    side, classes = model.config.image_size, model.config.num_labels
    model.save_pretrained(tmp_path / "theirs")
    pixels, weights = torch.randn(ROWS, side, side, 3), torch.randn(ROWS, classes)
    theirs = model(pixels.permute(0, 3, 1, 2).contiguous()).logits
    (theirs * weights).sum().backward()

    safetensors.save_file({"pixels": pixels, "weights": weights}, tmp_path / "theirs" / "inputs.safetensors")
    (tmp_path / "ours").mkdir()
    subprocess.run([TOOL, tmp_path / "theirs", tmp_path / "ours"], check=True)
    ours = safetensors.load_file(tmp_path / "ours" / "outputs.safetensors")
    assert relative_difference(ours.pop("logits"), theirs.detach()) <= BOUND

    # Their gradients take the way of weights to our names.
    gradients = make(**changes)
    with torch.no_grad():
        for copy, parameter in zip(gradients.parameters(), model.parameters(), strict=True):
            copy.copy_(parameter.grad)
    gradients.save_pretrained(tmp_path / "gradients")
    convert("--in", tmp_path / "gradients", "--out", tmp_path / "renamed", "--layout", "timm")
    renamed = safetensors.load_file(tmp_path / "renamed" / "model.safetensors")
    assert ours.keys() == renamed.keys()
    for name, gradient in renamed.items():
        assert relative_difference(ours[name], gradient) <= BOUND, name

    # transformers reads back what we write, to the bit.
    convert("--in", tmp_path / "ours", "--out", tmp_path / "back", "--layout", "transformers")
    back = type(model).from_pretrained(tmp_path / "back").eval()
    assert back.config.num_labels == classes
    for (name, a), (_, b) in zip(back.state_dict().items(), model.state_dict().items(), strict=True):
        assert torch.equal(a, b), name
    assert torch.equal(back(pixels.permute(0, 3, 1, 2).contiguous()).logits, theirs)


def test_preprocessing(tmp_path):
    """Of timm's files and transformers', there and back."""
    make_vit().save_pretrained(tmp_path / "theirs")

    def pretrained(folder):
        return json.loads((folder / "config.json").read_text())["pretrained_cfg"]

    def converted(name, layout, source):
        convert("--in", tmp_path / source, "--out", tmp_path / name, "--layout", layout)
        return tmp_path / name

    plain = pretrained(converted("plain", "timm", "theirs"))  # ViTImageProcessor's own
    assert plain["mean"] == plain["std"] == [0.5] * 3 and plain["crop_pct"] == 1
    config = json.loads((tmp_path / "plain" / "config.json").read_text())
    config["pretrained_cfg"].update(mean=[0.5, 0.25, 0.125], std=[0.5, 1, 2], crop_pct=0.8)
    (tmp_path / "plain" / "config.json").write_text(json.dumps(config))
    processor = json.loads((converted("back", "transformers", "plain") / "preprocessor_config.json").read_text())
    assert processor["size"] == {"shortest_edge": 30} and processor["crop_size"] == {"height": 24, "width": 24}
    assert processor["image_mean"] == [0.5, 0.25, 0.125] and processor["image_std"] == [0.5, 1, 2]
    again = pretrained(converted("again", "timm", "back"))
    assert again["mean"] == [0.5, 0.25, 0.125] and again["std"] == [0.5, 1, 2] and abs(again["crop_pct"] - 0.8) < 1e-12
    loaded = transformers.AutoImageProcessor.from_pretrained(tmp_path / "back")
    assert loaded.size["shortest_edge"] == 30 and loaded.crop_size["height"] == 24 and loaded.do_center_crop


@pytest.mark.parametrize("make, changes, expected", [
    (make_vit, {"hidden_act": "relu"}, 'hidden_act: expected "gelu", got "relu"'),
    (make_vit, {"qkv_bias": False}, "qkv_bias: expected true, got false"),
    (make_convnext, {"layer_scale_init_value": 0.0}, "layer_scale_init_value: expected more than 0"),
], ids=["act", "bias", "scale"])
def test_models_that_are_not_ours(tmp_path, make, changes, expected):
    make(**changes).save_pretrained(tmp_path / "theirs")
    assert expected in convert("--in", tmp_path / "theirs", "--out", tmp_path / "new", "--layout", "timm", code=2)
    assert not (tmp_path / "new").exists()


def test_other_classes_of_transformers(tmp_path):
    make_vit().vit.save_pretrained(tmp_path / "theirs")
    message = convert("--in", tmp_path / "theirs", "--out", tmp_path / "new", "--layout", "timm", code=2)
    assert 'architectures: expected ViTForImageClassification, got ["ViTModel"]' in message


def train(folder, recipe, *settings):
    """A checkpoint of a small model that has learned nothing."""
    sys.path.append(str(pathlib.Path(__file__).parents[2] / "cli"))
    from stripes import write_stripes
    write_stripes(folder / "stripes", 16, 8)
    values = {"train_data": folder / "stripes", "batch_size": 8, "steps": 1, "dim": 16, "num_layers": 2, "num_heads": 2,
              "ffn_dim": 64, "threads": 1}
    values.update(setting.split("=", 1) for setting in settings)
    subprocess.run([PROGRAM, "train", recipe, *(f"{key}={value}" for key, value in values.items()), "--out",
                    folder / "run"], check=True, capture_output=True)
    return folder / "run" / "checkpoints" / "step-00000001"


VIT = ("vit-digits", "pool=token")
CONVNEXT = ("vit-digits", "family=convnext", "patch_size=1", "stage_layers=1,1", "stage_dims=8,16")
DIT = ("dit-micro", "input_size=8", "patch_size=2", "time_divisor=127")
MAE = ("mae-micro", "image_size=8", "patch_size=2", "decoder_dim=8", "decoder_layers=1", "decoder_heads=2",
       "decoder_ffn_dim=16")


@pytest.mark.parametrize("model, layout, expected", [
    (("vit-digits",), "transformers", "pool: transformers' ViT classifies from the class token"),
    ((*VIT, "norm.block=seed_norm"), "transformers",
     "norm.block: ViTForImageClassification of transformers has layer_norm, this model seed_norm"),
    ((*VIT, "norm.head=layer_norm(eps=0.1)"), "transformers", "norm.head: in transformers the eps of this norm is 1e-06"),
    ((*CONVNEXT, "norm.stem=batch_norm"), "transformers", "norm.stem: ConvNextForImageClassification"),
    ((*CONVNEXT, "norm_eps=0.1"), "transformers", "norm.stem: in transformers the eps of this norm is 1e-06"),
    (VIT, "diffusers", '--layout: models of this kind are written as timm or transformers, got "diffusers"'),
    (MAE, "timm", "written as transformers"),
    ((*MAE, "norm.decoder=rms_norm"), "transformers", "norm.decoder: ViTMAE of transformers has layer_norm"),
    ((*DIT, "time_divisor=128"), "diffusers", "time_divisor: DiTTransformer2DModel of diffusers has 127, this model 128"),
    ((*DIT, "norm.final=ada_seed_norm"), "diffusers", "norm.final: DiTTransformer2DModel of diffusers has layer_norm"),
    ((*DIT, "ffn_dim=32"), "diffusers", "ffn_dim: DiTTransformer2DModel of diffusers has 64, this model 32"),
], ids=range(11))
def test_what_a_library_does_not_have_is_refused(tmp_path, model, layout, expected):
    checkpoint = train(tmp_path, *model)
    assert expected in convert("--in", checkpoint, "--out", tmp_path / "new", "--layout", layout, code=2)
    assert not (tmp_path / "new").exists()


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-q"]))

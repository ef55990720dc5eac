"""Compares DiT and MAE with diffusers' DiTTransformer2DModel and transformers' ViTMAEForPreTraining: outputs and gradients of
models with random weights, and directories read by one and written by the other.

Needs the packages torch, transformers and diffusers; what is not there is skipped. SEEDNORM_GENERATIVE_TOOL is the
program lab_generative_tool, SEEDNORM_PROGRAM seednorm, SEEDNORM_PACKAGES a folder with further packages.
"""
import os
import pathlib
import subprocess
import sys

import pytest

sys.path.append(os.environ.get("SEEDNORM_PACKAGES", ""))
torch = pytest.importorskip("torch")
sys.path.append(str(pathlib.Path(__file__).parent.parent / "data"))
import timm_shim  # noqa: E402, F401: transformers imports torchvision where it is there
safetensors = pytest.importorskip("safetensors.torch")

TOOL = os.environ["SEEDNORM_GENERATIVE_TOOL"]


def run_tool(kind, folder, inputs, tmp_path, copy=""):
    safetensors.save_file(inputs, tmp_path / "in.safetensors")
    done = subprocess.run([TOOL, kind, folder, tmp_path / "in.safetensors", tmp_path / "out.safetensors",
                           *([copy] if copy else [])], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return safetensors.load_file(tmp_path / "out.safetensors")


def convert(*arguments):
    subprocess.run([os.environ["SEEDNORM_PROGRAM"], "convert", *arguments], check=True, capture_output=True)


def randomize(model):
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.normal_(0, 0.2)


def assert_close(ours, theirs, what):
    # Both sum float32 in orders of their own: a thousand roundings of 2^-24 of the largest number, over all layers.
    scale = theirs.abs().max().item()
    error = (ours - theirs).abs().max().item()
    assert error <= 1e-4 * max(scale, 1e-3), f"{what}: {error} of {scale}"


def make_dit(tmp_path, num_layers=2, norm_eps=1e-6):
    diffusers = pytest.importorskip("diffusers.models.transformers.dit_transformer_2d",
                                    reason="the package diffusers is not installed")
    model = diffusers.DiTTransformer2DModel(
        num_attention_heads=3, attention_head_dim=8, in_channels=4, out_channels=8, num_layers=num_layers, sample_size=8,
        patch_size=2, num_embeds_ada_norm=10, norm_eps=norm_eps)
    model.eval()
    randomize(model)
    state = model.state_dict()
    for key in list(state):  # one table and one time embedding, as a DiT has
        if ".norm1.emb." in key and not key.startswith("transformer_blocks.0."):
            state[key] = state["transformer_blocks.0" + key[key.index(".norm1.emb."):]].clone()
    model.load_state_dict(state)
    model.save_pretrained(tmp_path / "theirs")
    return model


# In diffusers norm_eps is that of the norm before the MLP alone.
@pytest.mark.parametrize("norm_eps", [1e-6, 0.5])
def test_dit_is_diffusers(tmp_path, norm_eps):
    model = make_dit(tmp_path, norm_eps=norm_eps)
    x = torch.randn(3, 4, 8, 8)
    t, labels = torch.tensor([0, 17, 999]), torch.tensor([1, 10, 3])
    weights = torch.randn(3, 8, 8, 8)
    theirs = model(x, timestep=t, class_labels=labels).sample  # [N, C, H, W]
    (theirs * weights).sum().backward()
    channels_last = lambda a: a.permute(0, 2, 3, 1).contiguous()
    ours = run_tool("dit", tmp_path / "theirs",
                    {"x": channels_last(x), "t": t, "labels": labels, "weights": channels_last(weights)}, tmp_path)
    assert_close(ours["output"], channels_last(theirs.detach()), "output")
    grads = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    block = "transformer_blocks.1."
    for name, theirs in {
            "x_embedder.proj.weight": grads["pos_embed.proj.weight"],
            "blocks.1.attn.proj.weight": grads[block + "attn1.to_out.0.weight"],
            "blocks.1.attn.qkv.weight": torch.cat([grads[block + f"attn1.to_{p}.weight"] for p in "qkv"]),
            "blocks.1.mlp.fc1.weight": grads[block + "ff.net.0.proj.weight"],
            "blocks.1.mlp.fc2.bias": grads[block + "ff.net.2.bias"],
            "blocks.1.adaLN_modulation.1.weight": grads[block + "norm1.linear.weight"],
            "final_layer.adaLN_modulation.1.weight": grads["proj_out_1.weight"],
            "final_layer.linear.weight": grads["proj_out_2.weight"],
            # Its copies in all blocks together.
            "t_embedder.mlp.0.weight": sum(g for n, g in grads.items() if n.endswith("timestep_embedder.linear_1.weight")),
            "y_embedder.embedding_table.weight": sum(g for n, g in grads.items() if n.endswith("embedding_table.weight")),
    }.items():
        assert_close(ours["grad." + name], theirs, name)


def test_dit_is_written_and_read_again(tmp_path):
    make_dit(tmp_path)
    inputs = {"x": torch.randn(2, 8, 8, 4), "t": torch.tensor([3, 500]), "labels": torch.tensor([0, 10]),
              "weights": torch.randn(2, 8, 8, 8)}
    first = run_tool("dit", tmp_path / "theirs", inputs, tmp_path, tmp_path / "copy")
    again = run_tool("dit", tmp_path / "copy", inputs, tmp_path)
    assert all(torch.equal(first[name], again[name]) for name in first)


@pytest.mark.parametrize("norm_eps", [1e-6, 0.5])
def test_diffusers_reads_what_we_write(tmp_path, norm_eps):
    model = make_dit(tmp_path, norm_eps=norm_eps)
    convert("--in", tmp_path / "theirs", "--out", tmp_path / "ours")
    convert("--in", tmp_path / "ours", "--out", tmp_path / "back", "--layout", "diffusers")
    back, loading = type(model).from_pretrained(tmp_path / "back", output_loading_info=True)
    assert not loading["missing_keys"] and not loading["unexpected_keys"]
    assert back.config.norm_eps == norm_eps
    for (name, a), (_, b) in zip(back.state_dict().items(), model.state_dict().items(), strict=True):
        assert torch.equal(a, b), name
    x, t, labels = torch.randn(2, 4, 8, 8), torch.tensor([3, 999]), torch.tensor([0, 10])
    assert torch.equal(back.eval()(x, timestep=t, class_labels=labels).sample,
                       model(x, timestep=t, class_labels=labels).sample)


def test_dit_with_differing_copies_is_refused(tmp_path):
    model = make_dit(tmp_path)
    with torch.no_grad():
        model.transformer_blocks[1].norm1.emb.timestep_embedder.linear_1.bias.add_(1)
    model.save_pretrained(tmp_path / "theirs")
    safetensors.save_file({"x": torch.zeros(1, 8, 8, 4)}, tmp_path / "in.safetensors")
    done = subprocess.run([TOOL, "dit", tmp_path / "theirs", tmp_path / "in.safetensors", tmp_path / "out"],
                          capture_output=True, text=True)
    assert done.returncode == 1 and "differs from that of the first block" in done.stderr


def make_mae(normalized):
    transformers = pytest.importorskip("transformers")
    model = transformers.ViTMAEForPreTraining(transformers.ViTMAEConfig(
        hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=40, image_size=16, patch_size=4,
        decoder_num_attention_heads=2, decoder_hidden_size=16, decoder_num_hidden_layers=2, decoder_intermediate_size=28,
        layer_norm_eps=1e-6, norm_pix_loss=normalized, mask_ratio=0.6))
    model.eval()
    randomize(model)
    # A new model of transformers 5 has zeros here, its checkpoints have what MAE was trained with.
    for positions in model.vit.embeddings.position_embeddings, model.decoder.decoder_pos_embed:
        positions.data.copy_(fixed_positions(positions.shape[-1], 4))
    return model


def fixed_positions(dim, side):
    """As MAE has them: the column first, then the row, with zeros for the class token."""
    frequencies = 10000.0 ** (-torch.arange(dim // 4, dtype=torch.float64) / (dim / 4))
    row, column = (a.reshape(-1, 1) * frequencies for a in torch.meshgrid(*[torch.arange(side)] * 2, indexing="ij"))
    patches = torch.cat([column.sin(), column.cos(), row.sin(), row.cos()], dim=1)
    return torch.cat([torch.zeros(1, dim), patches])


def test_mae_with_other_positions_is_refused(tmp_path):
    model = make_mae(True)
    model.decoder.decoder_pos_embed.data.zero_()
    model.save_pretrained(tmp_path / "theirs")
    safetensors.save_file({"pixels": torch.zeros(1, 16, 16, 3)}, tmp_path / "in.safetensors")
    done = subprocess.run([TOOL, "mae", tmp_path / "theirs", tmp_path / "in.safetensors", tmp_path / "out"],
                          capture_output=True, text=True)
    assert done.returncode == 1 and "not the fixed positions" in done.stderr


@pytest.mark.parametrize("normalized", [False, True])
def test_mae_is_transformers(tmp_path, normalized):
    model = make_mae(normalized)
    model.save_pretrained(tmp_path / "theirs")
    pixels, noise, weights = torch.randn(3, 3, 16, 16), torch.rand(3, 16), torch.randn(3, 16, 48)
    theirs = model(pixels, noise=noise)
    (theirs.logits * weights).sum().backward()
    ours = run_tool("mae", tmp_path / "theirs",
                    {"pixels": pixels.permute(0, 2, 3, 1).contiguous(), "noise": noise, "weights": weights}, tmp_path,
                    tmp_path / "copy")
    assert_close(ours["output"], theirs.logits.detach(), "output")
    assert_close(ours["loss"], theirs.loss.detach(), "loss")
    assert torch.equal(ours["mask"], theirs.mask)
    ends = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    grad = lambda *parts: next(g for n, g in ends.items() if all(part in n for part in parts))
    for name, expected in {
            "cls_token": grad("cls_token"),
            "mask_token": grad("mask_token"),
            "patch_embed.proj.weight": grad("patch_embeddings.projection.weight"),
            "norm.bias": grad("vit.layernorm.bias"),
            "decoder_embed.weight": grad("decoder_embed.weight"),
            "decoder_pred.weight": grad("decoder_pred.weight"),
            "decoder_norm.weight": grad("decoder_norm.weight"),
    }.items():
        assert_close(ours["grad." + name], expected, name)
    # transformers reads what we write.
    again = type(model).from_pretrained(tmp_path / "copy").eval()
    assert torch.equal(again(pixels, noise=noise).logits, model(pixels, noise=noise).logits)

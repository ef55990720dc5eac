"""Training steps of timm's and diffusers' models of pictures, for bench/vision to measure beside ours.

usage: vision_peer.py CONFIG.json BATCH THREADS WARMUP STEPS [--compile] [--channels-last]

CONFIG.json is the config.json of our model: timm's architecture and arguments, or a DiT's sizes; peer.py says what is
written.
"""

import json
import math
import pathlib
import sys
from collections.abc import Callable

ROOT = pathlib.Path(__file__).resolve().parent.parent
# script/setup-torch puts timm and diffusers into the first folder, without what they depend on.
sys.path[:0] = [str(ROOT / "build" / "timm"), str(ROOT / "tests" / "lab" / "vision" / "data")]
import timm_shim  # noqa: E402, F401; before timm, and transformers imports torchvision where it is there
import torch  # noqa: E402
from peer import take_turns  # noqa: E402
from torch import Tensor, nn  # noqa: E402

GRAD_CLIP = 1.0
DIFFUSION_STEPS = 1000

# The model, its loss, what every step gives the loss, and the number of parameters that ours has too.
Peer = tuple[nn.Module, Callable[..., Tensor], Callable[[], list[Tensor]], int]


def count(model: nn.Module, is_counted: Callable[[str], bool] = lambda name: True) -> int:
    return sum(p.numel() for name, p in model.named_parameters() if p.requires_grad and is_counted(name))


def classifier(config: dict, batch: int) -> Peer:
    import timm

    arguments = config["model_args"]
    model = timm.create_model(config["architecture"], num_classes=config["num_classes"], **arguments)
    if "dims" in arguments and arguments["patch_size"] == 2:
        # timm halves the sides before the first stage where patches have 2 pixels; ours does not.
        model.stages[0].downsample = nn.Identity()
    side = config["pretrained_cfg"]["input_size"][-1]
    pixels = torch.randn(batch, 3, side, side)
    targets = torch.full((batch, config["num_classes"]), 1 / config["num_classes"])

    def loss(pixels: Tensor, targets: Tensor) -> Tensor:
        return -(torch.log_softmax(model(pixels), -1) * targets).sum(-1).mean()

    return model, loss, lambda: [pixels, targets], count(model)


class Diffusion:
    """The loss of a diffusion model that learns its variances (arXiv 2102.09672): the error of the predicted noise, and
    the variational bound in bits, from which only the variances learn."""

    def __init__(self) -> None:
        beta = torch.linspace(1e-4, 0.02, DIFFUSION_STEPS, dtype=torch.float64)
        kept = torch.cumprod(1 - beta, 0)
        before = torch.cat([torch.ones(1, dtype=torch.float64), kept[:-1]])
        posterior = beta * (1 - before) / (1 - kept)
        posterior[0] = posterior[1]
        self.tables = torch.stack([
            kept.sqrt(), (1 - kept).sqrt(), posterior.log(), beta.log(), beta * before.sqrt() / (1 - kept),
            (1 - before) * (1 - beta).sqrt() / (1 - kept)]).float()  # fmt: skip

    def loss(self, model: nn.Module, x0: Tensor, labels: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        signal, sigma, log_posterior, log_beta, from_x0, from_xt = self.tables[:, t, None, None, None]
        xt = signal * x0 + sigma * noise
        predicted, v = model(xt, timestep=t, class_labels=labels).sample.chunk(2, dim=1)
        log_variance = log_posterior + (v + 1) / 2 * (log_beta - log_posterior)
        mean = from_x0 * (xt - sigma * predicted.detach()) / signal + from_xt * xt
        true_mean = from_x0 * x0 + from_xt * xt
        divergence = 0.5 * (log_variance - log_posterior - 1 + (log_posterior - log_variance).exp()
                            + (true_mean - mean) ** 2 * (-log_variance).exp())  # fmt: skip
        nats = torch.where((t == 0)[:, None, None, None], self.first_step(x0, mean, log_variance), divergence)
        return ((noise - predicted) ** 2).mean() + nats.mean() / math.log(2)

    @staticmethod
    def first_step(x0: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
        def cdf(x: Tensor) -> Tensor:
            return 0.5 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))

        precision = (-0.5 * log_variance).exp()
        below, up_to = (cdf(precision * (x0 - mean + edge)) for edge in (-1 / 255, 1 / 255))
        bins = torch.where(x0 < -0.999, up_to, torch.where(x0 > 0.999, 1 - below, up_to - below))
        return -bins.clamp_min(1e-12).log()


def dit(config: dict, batch: int) -> Peer:
    from diffusers.models.transformers.dit_transformer_2d import DiTTransformer2DModel

    channels, side = config["channels"], config["input_size"]
    model = DiTTransformer2DModel(
        num_attention_heads=config["num_heads"], attention_head_dim=config["dim"] // config["num_heads"],
        in_channels=channels, out_channels=2 * channels, num_layers=config["num_layers"], sample_size=side,
        patch_size=config["patch_size"], num_embeds_ada_norm=config["num_classes"], norm_eps=config["norm_eps"])  # fmt: skip
    diffusion = Diffusion()
    pixels, labels = torch.randn(batch, channels, side, side), torch.zeros(batch, dtype=torch.long)

    def is_counted(name: str) -> bool:
        """diffusers has a copy of the embeddings of timestep and label in each block."""
        return ".norm1.emb." not in name or name.startswith("transformer_blocks.0.")

    return (model, lambda *inputs: diffusion.loss(model, *inputs),
            lambda: [pixels, labels, torch.randint(DIFFUSION_STEPS, (batch,)), torch.randn_like(pixels)],
            count(model, is_counted))  # fmt: skip


def make_step(peer: Peer, compiled: bool, channels_last: bool) -> Callable[[], None]:
    model, loss, inputs, _ = peer
    model.train()
    if channels_last:
        model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.05, fused=True)
    forward = torch.compile(loss, dynamic=False) if compiled else loss

    def step() -> None:
        batch = inputs()
        if channels_last:
            batch[0] = batch[0].contiguous(memory_format=torch.channels_last)
        value = forward(*batch)
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), GRAD_CLIP)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        value.item()  # as a trainer that shows it

    return step


def main() -> None:
    config_file, batch, threads, warmup, steps = sys.argv[1:6]
    options = sys.argv[6:]
    torch.set_num_threads(int(threads))
    torch.manual_seed(0)
    config = json.loads(pathlib.Path(config_file).read_text())
    peer = (classifier if "architecture" in config else dit)(config, int(batch))
    step = make_step(peer, "--compile" in options, "--channels-last" in options)
    versions = {name: sys.modules[name].__version__ for name in ("torch", "timm", "diffusers") if name in sys.modules}
    take_turns(step, int(steps), int(warmup), lambda: {"params": peer[3], "versions": versions})


if __name__ == "__main__":
    main()

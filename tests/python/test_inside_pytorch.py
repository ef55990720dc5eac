"""What the rest of PyTorch does to layers: activation checkpointing, worker processes, changing shapes, inference tensors.

docs/guide/pytorch.md lists every such feature with its test.
"""

import copy
import pathlib
import re

import pytest
import seednorm
import torch
from layers import DIM
from torch import nn
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader, Dataset

GUIDE = pathlib.Path(__file__).parents[2] / "docs/guide/pytorch.md"


class Block(nn.Module):
    """A residual block, whose layer may have dropout."""

    def __init__(self, **options):
        super().__init__()
        self.norm, self.linear = seednorm.SeeDNorm(DIM, **options), nn.Linear(DIM, DIM)
        nn.init.normal_(self.norm.beta)

    def forward(self, x):
        return x + self.linear(self.norm(x))


def gradients(blocks, x, run):
    """Loss and gradients, with the generator in the same state each time."""
    blocks.zero_grad()
    torch.manual_seed(3)
    for block in blocks:
        x = run(block, x)
    x.square().mean().backward()
    return [p.grad.clone() for p in blocks.parameters()]


@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_activation_checkpointing(reentrant, dropout):
    """The second forward pass drops what the first one dropped, so that gradients have the same bits."""
    torch.manual_seed(0)
    blocks = nn.ModuleList([Block(dropout=dropout, num_heads=2) for _ in range(3)])
    x = torch.randn(4, 5, DIM, requires_grad=True)
    plain = gradients(blocks, x, lambda block, x: block(x))
    again = gradients(blocks, x, lambda block, x: checkpoint(block, x, use_reentrant=reentrant))
    assert all(torch.equal(a, b) for a, b in zip(plain, again, strict=True))


def test_activation_checkpointing_of_a_converted_model():
    transformers = pytest.importorskip("transformers")
    config = transformers.LlamaConfig(vocab_size=50, hidden_size=16, intermediate_size=16, num_hidden_layers=2,
                                      num_attention_heads=2)  # fmt: skip
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(config)
    seednorm.convert(model)
    ids = torch.arange(16).view(2, 8)
    results = []
    for _ in range(2):
        model.zero_grad()
        model(ids, labels=ids).loss.backward()
        results.append([p.grad.clone() for p in model.parameters()])
        model.gradient_checkpointing_enable()
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


class Normalized(Dataset):
    """Samples that a layer makes in the process that loads them."""

    def __init__(self, layer, x):
        self.layer, self.x = layer, x

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        with torch.no_grad():
            return self.layer(self.x[index])


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_worker_processes(context):
    """After the parent has used its threads: a forked process has only one of them; a spawned one unpickles the layer."""
    layer = Block().norm
    x = torch.randn(6, 512, DIM)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    wanted = layer(x).detach()
    layer(x).sum().backward()
    torch.set_num_threads(threads)
    loader = DataLoader(Normalized(layer, x), batch_size=2, num_workers=2, multiprocessing_context=context, timeout=120)
    assert torch.equal(torch.cat(list(loader)), wanted)
    assert torch.equal(layer(x), wanted)


def test_automatic_dynamic_shapes():
    """Batch and length may both change: the second shape compiles once more, for all shapes; later ones do not."""
    from torch._dynamo.testing import CompileCounterWithBackend

    torch.compiler.reset()
    block = Block(num_heads=2)
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(copy.deepcopy(block), backend=counter, fullgraph=True)
    for shape in ((2, 5), (3, 7), (6, 4), (9, 8)):
        x = torch.randn(*shape, DIM)
        results = []
        for module in (block, compiled):
            module.zero_grad()
            y = module(x)
            y.square().sum().backward()
            results.append([y, *[p.grad for p in module.parameters()]])
        assert all(torch.equal(a, b) for a, b in zip(*results, strict=True)), shape
    assert counter.frame_count == 2


def test_a_layer_that_ran_in_inference_mode():
    """It can still be trained, unlike on data that is an inference tensor, which torch.nn's layers refuse too."""
    block, x = Block(), torch.randn(4, DIM)
    with torch.inference_mode():
        y, data = block(x), x.clone()
    assert torch.equal(block(x), y)
    block(x).sum().backward()
    assert block.norm.beta.grad is not None
    for layer in (block.norm, nn.LayerNorm(DIM)):
        with pytest.raises(RuntimeError, match="Inference tensors cannot be saved for backward"):
            layer(data)


def test_the_guide_names_tests_that_exist():
    named = re.findall(r"\[`(test_\w+)`\]\(\.\./\.\./tests/python/(\w+)\.py\)", GUIDE.read_text())
    assert len(named) >= 20
    for name, module in named:
        source = (pathlib.Path(__file__).parent / f"{module}.py").read_text()
        assert re.search(rf"^def {name}\(", source, re.MULTILINE), f"docs/guide/pytorch.md names {name} of {module}.py"

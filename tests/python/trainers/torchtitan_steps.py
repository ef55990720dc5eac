"""Llama 3 of torchtitan with its own override mechanism, initialization, optimizers and state dictionaries."""

import pathlib
import shlex

from steps import check_equal, check_start, check_trained, check_undecayed
from torchtitan_model import SEED_NORM, config_of, make, optimizer_of

import seednorm
import torch
from seednorm.integrations.torchtitan import SeeDNorm, decayed_group
from torchtitan.config.override import parse_cli_imports

ids = torch.randint(0, 2048, (2, 16), generator=torch.Generator().manual_seed(1))
positions = torch.arange(16).expand(2, 16)


def run(model):
    return model(ids, positions)


guide = (pathlib.Path(__file__).parents[3] / "docs/guide/trainers.md").read_text().splitlines()
(option,) = [line for line in guide if line.startswith("--override.imports")]
norm = make(config_of(parse_cli_imports(shlex.split(option)[1:]))).norm
assert isinstance(norm, SeeDNorm) and norm.num_heads == 4

config = config_of(SEED_NORM)
for norm in (config.norm, config.layers[0].attention_norm):
    layouts = norm.sharding_config.state_shardings
    assert layouts.keys() == {"weight", "alpha", "beta"} and layouts["alpha"] == layouts["beta"] == layouts["weight"]
model = make(config)
norms = [m for m in model.modules() if isinstance(m, SeeDNorm)]
assert len(norms) == 5 and not [m for m in model.modules() if isinstance(m, torch.nn.RMSNorm)]
assert all((m.alpha == 0.5).all() and (m.beta == 0).all() and m.num_heads == 4 for m in norms)
check_start(model, make(config_of([])), run)

check_undecayed(optimizer_of(model), model)
optimizer = optimizer_of(model, decayed_group(dict(lr=1e-2, weight_decay=0.1)))
print(seednorm.check_decay(optimizer, model))
try:
    decayed_group(dict(lr=1e-2))
    raise AssertionError("no decay went through")
except ValueError as error:
    assert "[decayed_group] optimizer_kwargs: expected a weight_decay > 0" in str(error)
for _ in range(3):
    optimizer.zero_grad()
    torch.nn.functional.cross_entropy(run(model).flatten(0, 1), ids.roll(-1, 1).flatten()).backward()
    optimizer.step()
check_trained(model)

back = make(config)
back.load_state_dict(model.state_dict())
again = optimizer_of(back, decayed_group(dict(lr=1e-2, weight_decay=0.1)))
again.load_state_dict(optimizer.state_dict())
with torch.no_grad():
    check_equal(run(back.eval()), run(model.eval()))

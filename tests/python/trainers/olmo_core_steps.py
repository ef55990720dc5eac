"""A transformer of OLMo-core whose configuration builds SeeDNorm, its optimizer and its checkpoints."""

import tempfile

from olmo_core_model import config, ids, make
from steps import check_equal, check_start, check_trained

import seednorm
import torch
from olmo_core.distributed.checkpoint import load_model_and_optim_state, save_model_and_optim_state
from olmo_core.exceptions import OLMoConfigurationError
from olmo_core.nn.layer_norm import LayerNormType
from olmo_core.nn.transformer import TransformerConfig
from olmo_core.optim import AdamWConfig, OptimGroupOverride
from seednorm.integrations.olmo_core import SeeDNormConfig, use_seed_norm


def optimizer(model):
    embeddings = OptimGroupOverride(params=["embeddings.weight"], opts=dict(weight_decay=0.0))  # as OLMo 2's
    return AdamWConfig(lr=1e-2, weight_decay=0.1, group_overrides=[embeddings]).build(model)


published = TransformerConfig.olmo2_1B(vocab_size=100352)
use_seed_norm(published, num_heads=16)
assert published.block.layer_norm == published.lm_head.layer_norm == published.block.sequence_mixer.qk_norm
assert isinstance(published.block.layer_norm, SeeDNormConfig)

ours = use_seed_norm(config(), num_heads=2)
assert TransformerConfig.from_dict(ours.as_config_dict()) == ours  # as OLMo-core writes it beside a run
model = make(ours)
assert ours.num_params == sum(p.numel() for p in model.parameters())
layer = model.blocks["0"].attention.q_norm
assert isinstance(layer, seednorm.SeeDNorm) and layer.dim == 8 and layer.num_heads == 2
assert not [m for m in model.modules() if "RMSNorm" in type(m).__name__]
check_start(model, make(config()), lambda m: m(ids))

adamw = optimizer(model)
print(seednorm.check_decay(adamw, model))
for _ in range(3):
    adamw.zero_grad()
    torch.nn.functional.cross_entropy(model(ids).flatten(0, 1), ids.roll(-1, 1).flatten()).backward()
    adamw.step()
check_trained(model)

with tempfile.TemporaryDirectory() as folder:
    save_model_and_optim_state(f"{folder}/step3", model, adamw)
    back = make(ours)
    load_model_and_optim_state(f"{folder}/step3", back, optimizer(back))
with torch.no_grad():
    check_equal(back.eval()(ids), model.eval()(ids))

for wrong, message in (
    (lambda: SeeDNormConfig().build(8, weight_shape=(4, 8)), "[SeeDNormConfig] weight_shape: expected (8,)"),
    (lambda: SeeDNormConfig(bias=True).build(8), "[SeeDNormConfig] bias: expected False, got True"),
    (lambda: use_seed_norm(config(LayerNormType.default)), "[use_seed_norm] config: expected norms of a type of RMSNorm"),
):
    try:
        wrong()
        raise AssertionError(message)
    except OLMoConfigurationError as error:
        assert str(error).startswith(message), error

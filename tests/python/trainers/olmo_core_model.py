"""A small transformer of OLMo-core, as in OLMo 2 with norms of queries and keys, but per head."""

import os

from steps import require

os.environ.setdefault("OLMO_SHARED_FS", "1")
require("olmo_core.nn.transformer", "olmo_core.distributed.checkpoint")
import torch
from olmo_core.nn.layer_norm import LayerNormType
from olmo_core.nn.transformer import TransformerConfig

ids = torch.randint(0, 64, (2, 8), generator=torch.Generator().manual_seed(0))


def config(norm=LayerNormType.rms, **options):
    return TransformerConfig.llama_like(
        d_model=32, vocab_size=64, n_layers=2, n_heads=4, qk_norm=True, use_head_qk_norm=True, layer_norm_eps=1e-6,
        layer_norm_name=norm, **options,
    )  # fmt: skip


def make(config):
    torch.manual_seed(0)
    model = config.build(init_device="cpu")
    model.init_weights(max_seq_len=8, device=torch.device("cpu"))
    return model

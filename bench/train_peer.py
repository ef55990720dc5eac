"""Training steps of Hugging Face's models, for bench/train to measure beside ours.

usage: train_peer.py CONFIG.json BATCH DTYPE THREADS WARMUP STEPS [--compile]

CONFIG.json is the model's config.json; peer.py says what is written.
"""

import json
import sys
from collections.abc import Callable

import torch
import transformers
from peer import take_turns

BALANCE_WEIGHT = 0.01  # of the built-in recipes


def make_step(config: dict, batch: int, dtype: str, compiled: bool) -> Callable[[], None]:
    torch.manual_seed(0)
    settings = transformers.AutoConfig.for_model(**config)
    is_moe = hasattr(settings, "num_experts")
    settings.use_cache = False
    if is_moe:
        settings.output_router_logits, settings.router_aux_loss_coef = True, BALANCE_WEIGHT
    model = transformers.AutoModelForCausalLM.from_config(settings, dtype=torch.float32).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    forward = torch.compile(model, dynamic=False) if compiled else model
    tokens = torch.randint(settings.vocab_size, (batch, settings.max_position_embeddings + 1))
    inputs, targets = tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bfloat16"):
            # Given both, the loss takes the targets as they are; it adds the load-balance term itself.
            loss = forward(input_ids=inputs, labels=targets, shift_labels=targets).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        loss.item()  # as a trainer that shows it

    return step


def main() -> None:
    config_file, batch, dtype, threads, warmup, steps = sys.argv[1:7]
    torch.set_num_threads(int(threads))
    with open(config_file, encoding="utf-8") as file:
        config = json.load(file)
    step = make_step(config, int(batch), dtype, "--compile" in sys.argv[7:])
    take_turns(step, int(steps), int(warmup), lambda: {"torch": torch.__version__, "transformers": transformers.__version__})


if __name__ == "__main__":
    main()

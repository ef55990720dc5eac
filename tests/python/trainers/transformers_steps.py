"""A converted Llama in the Trainer of transformers, which runs on accelerate: decay, checkpoints, resumption."""

import tempfile

from steps import check_equal, check_start, check_trained, check_undecayed
from transformers_model import ids, make, trainer

import seednorm
import torch
import transformers
from seednorm.integrations.transformers import Trainer

check_start(make(), make(converted=False), lambda m: m(ids).logits)
with tempfile.TemporaryDirectory() as folder:
    usual = trainer(transformers.Trainer, folder)
    check_undecayed(usual.create_optimizer(), usual.model)
    whole = trainer(Trainer, folder)
    print(seednorm.check_decay(whole.create_optimizer(), whole.model))
    whole.train()
    seednorm.check_decay(whole.optimizer, whole.model)  # as accelerate wraps it
    check_trained(whole.model)
    again = trainer(Trainer, folder)
    again.train(resume_from_checkpoint=f"{folder}/checkpoint-2")
    back = seednorm.from_pretrained(f"{folder}/checkpoint-4")
    with torch.no_grad():
        wanted = whole.model.eval()(ids).logits
        check_equal(again.model.eval()(ids).logits, wanted)
        check_equal(back.eval()(ids).logits, wanted)

"""A converted Llama in the Trainer of transformers, which runs on accelerate: decay, checkpoints, resumption."""

import tempfile

from steps import check_equal, check_start, check_trained, check_undecayed
from transformers_model import arguments_of, ids, make, rows

import seednorm
import torch
import transformers
from seednorm.integrations.transformers import Trainer

check_start(make(), make(converted=False), lambda m: m(ids).logits)
with tempfile.TemporaryDirectory() as folder:
    arguments = arguments_of(folder)
    usual = transformers.Trainer(make(), arguments, train_dataset=rows)
    check_undecayed(usual.create_optimizer(), usual.model)
    model = make()
    trainer = Trainer(model, arguments, train_dataset=rows)
    print(seednorm.check_decay(trainer.create_optimizer(), model))
    trainer.train()
    seednorm.check_decay(trainer.optimizer, model)  # as accelerate wraps it
    check_trained(model)
    again = Trainer(make(), arguments, train_dataset=rows)
    again.train(resume_from_checkpoint=f"{folder}/checkpoint-2")
    back = seednorm.from_pretrained(f"{folder}/checkpoint-4")
    with torch.no_grad():
        wanted = model.eval()(ids).logits
        check_equal(again.model.eval()(ids).logits, wanted)
        check_equal(back.eval()(ids).logits, wanted)

"""A converted Llama in the Trainer of transformers, which runs on accelerate: decay, checkpoints, resumption."""

import tempfile

from steps import check_equal, check_start, check_trained, check_undecayed, require

require("transformers", "accelerate")
import seednorm
import torch
import transformers
from seednorm.integrations.transformers import Trainer

ids = torch.randint(0, 64, (8, 8), generator=torch.Generator().manual_seed(0))
rows = [dict(input_ids=row, labels=row) for row in ids]


def make(converted=True):
    torch.manual_seed(0)
    config = transformers.LlamaConfig(vocab_size=64, hidden_size=32, intermediate_size=32, num_hidden_layers=2,
                                      num_attention_heads=2)  # fmt: skip
    model = transformers.LlamaForCausalLM(config)
    if converted:
        seednorm.convert(model, num_heads=2)
    return model


def trainer(kind, folder):
    arguments = transformers.TrainingArguments(
        folder, max_steps=4, save_steps=2, per_device_train_batch_size=2, report_to="none", use_cpu=True,
        weight_decay=0.1, learning_rate=1e-2,
    )  # fmt: skip
    return kind(make(), arguments, train_dataset=rows)


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

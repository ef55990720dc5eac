"""A small converted Llama and its Trainer, which runs on accelerate."""

from steps import require

require("transformers", "accelerate")
import seednorm
import torch
import transformers

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


def arguments_of(folder):
    return transformers.TrainingArguments(
        folder, max_steps=4, save_steps=2, per_device_train_batch_size=2, report_to="none", use_cpu=True,
        weight_decay=0.1, learning_rate=1e-2,
    )  # fmt: skip

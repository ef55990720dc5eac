"""A converted Llama in the Trainer of transformers in two processes, each with a copy; accelerate's FSDP needs GPUs."""

import shutil
import tempfile

from processes import leave
from steps import check_equal, check_trained
from transformers_model import arguments_of, ids, make, rows

import seednorm
import torch
import torch.distributed as dist
from seednorm.integrations.transformers import Trainer

dist.init_process_group("gloo")
folder = [tempfile.mkdtemp() if dist.get_rank() == 0 else None]
dist.broadcast_object_list(folder)
arguments, model = arguments_of(folder[0]), make()
trainer = Trainer(model, arguments, train_dataset=rows)
trainer.train()
seednorm.check_decay(trainer.optimizer, model)
check_trained(model)
for name, p in model.named_parameters():
    first = p.detach().clone()
    dist.broadcast(first, 0)
    assert torch.equal(first, p), name
again = Trainer(make(), arguments, train_dataset=rows)
again.train(resume_from_checkpoint=f"{folder[0]}/checkpoint-2")
dist.barrier()
back = seednorm.from_pretrained(f"{folder[0]}/checkpoint-4")
with torch.no_grad():
    wanted = model.eval()(ids).logits
    check_equal(again.model.eval()(ids).logits, wanted)
    check_equal(back.eval()(ids).logits, wanted)
dist.barrier()
if dist.get_rank() == 0:
    shutil.rmtree(folder[0])
leave()

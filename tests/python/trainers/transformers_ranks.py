"""A converted Llama in the Trainer of transformers in two processes, each with a copy; accelerate's FSDP needs GPUs."""

import shutil
import tempfile

from steps import check_equal, check_trained
from transformers_model import ids, trainer

import seednorm
import torch
import torch.distributed as dist
from seednorm.integrations.transformers import Trainer

dist.init_process_group("gloo")
folder = [tempfile.mkdtemp() if dist.get_rank() == 0 else None]
dist.broadcast_object_list(folder)
whole = trainer(Trainer, folder[0])
whole.train()
seednorm.check_decay(whole.optimizer, whole.model)
check_trained(whole.model)
for name, p in whole.model.named_parameters():
    first = p.detach().clone()
    dist.broadcast(first, 0)
    assert torch.equal(first, p), name
again = trainer(Trainer, folder[0])
again.train(resume_from_checkpoint=f"{folder[0]}/checkpoint-2")
dist.barrier()
back = seednorm.from_pretrained(f"{folder[0]}/checkpoint-4")
with torch.no_grad():
    wanted = whole.model.eval()(ids).logits
    check_equal(again.model.eval()(ids).logits, wanted)
    check_equal(back.eval()(ids).logits, wanted)
dist.barrier()
if dist.get_rank() == 0:
    shutil.rmtree(folder[0])
dist.destroy_process_group()

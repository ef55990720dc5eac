"""timm: a ViT with SeeDNorm for every norm, including those of q and k, timm's optimizer, and conversion of its norms."""

import pathlib
import sys
import tempfile

from steps import check_equal, check_start, check_trained, check_undecayed, require

sys.path.append(str(pathlib.Path(__file__).parents[2] / "lab" / "vision" / "data"))
import timm_shim  # noqa: F401; before timm

require("torchvision", "timm")
import seednorm
import timm.optim
import timm.scheduler
import timm.utils
import torch
from seednorm.integrations.timm import decay, norm_layer


layers = torch.nn.ModuleDict({name: getattr(timm.layers, name)(64) for name in ("RmsNorm", "RmsNormFp32", "RmsNorm2d")})
assert [entry.name for entry in seednorm.convert(layers).replaced] == ["RmsNorm", "RmsNormFp32"]

options = dict(img_size=32, patch_size=8, depth=2, num_classes=5, qk_norm=True)
x, labels = torch.randn(4, 3, 32, 32), torch.arange(4)
for layer_decay in (None, 0.75):
    model = timm.create_model("vit_tiny_patch16_224", norm_layer=norm_layer(num_heads=4), **options)
    plain = timm.create_model("vit_tiny_patch16_224", norm_layer=timm.layers.RmsNorm, **options)
    check_start(model, plain, lambda m: m(x))

    optimizer = timm.optim.create_optimizer_v2(model, "adamw", lr=1e-3, weight_decay=0.05, layer_decay=layer_decay)
    check_undecayed(optimizer, model)
    scales = {p: group.get("lr_scale") for group in optimizer.param_groups for p in group["params"]}
    decay(optimizer, model, 0.05)
    print(seednorm.check_decay(optimizer, model))
    assert scales == {p: group.get("lr_scale") for group in optimizer.param_groups for p in group["params"]}
    count = len(optimizer.param_groups)
    decay(optimizer, model, 0.05)  # nothing is left to do
    assert len(optimizer.param_groups) == count
    try:
        decay(optimizer, model, 0.0)
        raise AssertionError("no decay went through")
    except ValueError as error:
        assert "[decay] weight_decay: expected a number > 0, got 0.0" in str(error)

    schedule, _ = timm.scheduler.create_scheduler_v2(optimizer, num_epochs=3, warmup_epochs=0)
    for epoch in range(3):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x), labels).backward()
        optimizer.step()
        schedule.step(epoch + 1)
    check_trained(model)

    with tempfile.TemporaryDirectory() as folder:
        saver = timm.utils.CheckpointSaver(model, optimizer, checkpoint_dir=folder, recovery_dir=folder)
        saver.save_checkpoint(0, 1.0)
        path = next(pathlib.Path(folder).glob("checkpoint-0*"))
        back = timm.create_model("vit_tiny_patch16_224", norm_layer=norm_layer(num_heads=4), **options)
        timm.models.load_checkpoint(back, str(path), weights_only=False)
    with torch.no_grad():
        check_equal(back.eval()(x), model.eval()(x))

"""Lets timm be imported beside PyTorch's CPU build, for which torchvision's wheel has no operators: it declares those
that torchvision registers functions for. Import it before timm."""
import importlib.util
import pathlib
import re

import torch

_spec = importlib.util.find_spec("torchvision")
if _spec is not None and _spec.origin is not None:
    _source = (pathlib.Path(_spec.origin).parent / "_meta_registrations.py").read_text()
    _library = torch.library.Library("torchvision", "DEF")
    for _name in sorted(set(re.findall(r'register_fake\("torchvision::(\w+)"\)', _source))):
        _library.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

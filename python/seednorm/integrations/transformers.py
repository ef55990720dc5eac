"""SeeDNorm in the Trainer of Hugging Face transformers.

    trainer = seednorm.integrations.transformers.Trainer(model, arguments, train_dataset=data)
"""

import transformers
from torch import nn

from ..param_groups import dynamic_names


class DecaysDynamic:
    """A base class to put before any subclass of Trainer: alpha and beta are decayed, unlike other parameters of norms."""

    def get_decay_parameter_names(self, model: nn.Module) -> list[str]:
        names: list[str] = super().get_decay_parameter_names(model)  # type: ignore[misc]
        return [*names, *sorted(dynamic_names(model) - set(names))]


class Trainer(DecaysDynamic, transformers.Trainer):  # type: ignore[misc]
    """transformers.Trainer, with weight decay of alpha and beta; everything else is unchanged."""

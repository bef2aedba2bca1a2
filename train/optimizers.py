"""Optimizers, each with its learning-rate schedule, as `conf/optimizer/` names them."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn

from mlip.errors import ConfigError


@dataclass(frozen=True)
class Adam:
    """Adam with a linear warm-up and a cosine decay to zero over all epochs.

    Attributes:
        lr: Peak learning rate.
        weight_decay: Decoupled weight decay (AdamW); 0 turns it off.
        warmup_epochs: Length of the linear warm-up, may be a fraction.

    Raises:
        ConfigError: A number is out of its range.

    Source: Kingma & Ba 2015 (arXiv 1412.6980); Loshchilov & Hutter 2017 (arXiv 1608.03983).
    """

    lr: float = 0.01
    weight_decay: float = 0.0
    warmup_epochs: float = 1.0

    def __post_init__(self) -> None:
        if not self.lr > 0.0 or self.weight_decay < 0.0 or self.warmup_epochs < 0.0:
            raise ConfigError(f"found {self}; expected lr > 0, weight_decay >= 0 and warmup_epochs >= 0")

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """The optimizer of these parameters."""
        return torch.optim.AdamW(parameters, lr=self.lr, weight_decay=self.weight_decay)

    def lr_factor(self, epochs: float, max_epochs: int) -> float:
        """What `lr` is multiplied with in the step that ends when `epochs` of `max_epochs` are over."""
        if epochs < self.warmup_epochs:
            return epochs / self.warmup_epochs
        decay = (epochs - self.warmup_epochs) / max(max_epochs - self.warmup_epochs, 1e-9)
        return 0.5 * (1.0 + math.cos(math.pi * min(decay, 1.0)))

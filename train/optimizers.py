"""Optimizers, each with its learning-rate schedule, as `conf/optimizer/` names them."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import torch
from lightning.pytorch.callbacks import WeightAveraging
from torch import nn

from mlip.errors import ConfigError
from train.averaging import WarmedAverage
from train.schedule_free import ScheduleFreeAdamW, ScheduleFreeAverage


class Optimizer(Protocol):
    """What a group of `conf/optimizer/` sets up."""

    @property
    def lr(self) -> float:
        """Learning rate that `lr_factor` multiplies."""

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """The optimizer of these parameters."""

    def lr_factor(self, epochs: float, max_epochs: int) -> float:
        """What `lr` is multiplied with in the step that ends when `epochs` of `max_epochs` are over."""

    def average(self, ema_decay: float) -> WeightAveraging:
        """The callback that keeps the averaged weights."""


@dataclass(frozen=True)
class Adam:
    """Adam whose learning rate warms up linearly, stays, and falls to zero along half a cosine.

    Attributes:
        lr: Peak learning rate.
        weight_decay: Decoupled weight decay (AdamW); 0 turns it off.
        warmup_epochs: Length of the linear warm-up, may be a fraction.
        decay_fraction: Share of the epochs after the warm-up over which the learning rate falls.

    Raises:
        ConfigError: A number is out of its range.

    Source: Kingma & Ba 2015 (arXiv 1412.6980); Loshchilov & Hutter 2017 (arXiv 1608.03983);
        Hu et al. 2024 (arXiv 2404.06395), 4.2, for the late decay.
    """

    lr: float = 0.02
    weight_decay: float = 0.0
    warmup_epochs: float = 1.0
    decay_fraction: float = 0.3

    def __post_init__(self) -> None:
        _require(self.lr, self.weight_decay, self.warmup_epochs, self)
        if not 0.0 < self.decay_fraction <= 1.0:
            raise ConfigError(
                f"found optimizer.decay_fraction={self.decay_fraction}; expected above 0 and up to 1"
            )

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """The optimizer of these parameters."""
        return torch.optim.AdamW(parameters, lr=self.lr, weight_decay=self.weight_decay)

    def lr_factor(self, epochs: float, max_epochs: int) -> float:
        """What `lr` is multiplied with in the step that ends when `epochs` of `max_epochs` are over."""
        if epochs < self.warmup_epochs:
            return epochs / self.warmup_epochs
        falling = max(self.decay_fraction * (max_epochs - self.warmup_epochs), 1e-9)
        decay = (epochs - max_epochs + falling) / falling
        return 0.5 * (1.0 + math.cos(math.pi * min(max(decay, 0.0), 1.0)))

    def average(self, ema_decay: float) -> WeightAveraging:
        """Exponential moving average."""
        return WarmedAverage(ema_decay)


@dataclass(frozen=True)
class ScheduleFree:
    """Schedule-free AdamW: after a linear warm-up the learning rate stays, so training may end at any epoch.

    What is validated and kept is its own average of the weights; `trainer.ema_decay` has no meaning with it.

    Attributes:
        lr: Learning rate.
        weight_decay: Decoupled weight decay; 0 turns it off.
        warmup_epochs: Length of the linear warm-up, may be a fraction.
        beta_1: How close to the average gradients are taken, 0 to 1; more in longer trainings.

    Raises:
        ConfigError: A number is out of its range.

    Source: Defazio et al. 2024 (arXiv 2405.15682).
    """

    lr: float = 0.02
    weight_decay: float = 0.0
    warmup_epochs: float = 1.0
    beta_1: float = 0.9

    def __post_init__(self) -> None:
        _require(self.lr, self.weight_decay, self.warmup_epochs, self)
        if not 0.0 < self.beta_1 < 1.0:
            raise ConfigError(f"found optimizer.beta_1={self.beta_1}; expected above 0 and below 1")

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """The optimizer of these parameters."""
        return ScheduleFreeAdamW(parameters, self.lr, self.beta_1, 0.999, self.weight_decay)

    def lr_factor(self, epochs: float, max_epochs: int) -> float:
        """What `lr` is multiplied with in the step that ends when `epochs` of `max_epochs` are over."""
        return min(1.0, epochs / self.warmup_epochs) if self.warmup_epochs else 1.0

    def average(self, ema_decay: float) -> WeightAveraging:
        """The optimizer's own average."""
        return ScheduleFreeAverage()


def _require(lr: float, weight_decay: float, warmup_epochs: float, settings: Optimizer) -> None:
    if not lr > 0.0 or weight_decay < 0.0 or warmup_epochs < 0.0:
        raise ConfigError(f"found {settings}; expected lr > 0, weight_decay >= 0 and warmup_epochs >= 0")

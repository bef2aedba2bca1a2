"""Averaged weights: what is validated, kept and deployed."""

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor


class WarmedAverage(WeightAveraging):
    """Exponential moving average of the weights whose memory grows with training.

    After step n (from 1) the average moves by 1 - min(decay, (1 + n) / (10 + n)) towards the weights, so that
    it forgets its random beginning however short the training is.

    Args:
        decay: Decay per step in a long training, at least 0 and below 1.

    Source: nequip 0.19 `EMAWeights`, after torch-ema.
    """

    def __init__(self, decay: float) -> None:
        def move(averages: list[Tensor], weights: list[Tensor], num_averaged: Tensor) -> None:
            n = int(num_averaged)
            torch._foreach_lerp_(averages, weights, 1.0 - min(decay, (1 + n) / (10 + n)))

        super().__init__(use_buffers=False, multi_avg_fn=move)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Begin with the initial weights."""
        super().setup(trainer, pl_module, stage)
        if self._average_model is not None:
            self._average_model.n_averaged.fill_(1)

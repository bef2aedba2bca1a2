"""What Lightning trains: a force field, its loss, its optimizer and learning-rate schedule."""

import math
from dataclasses import dataclass

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor

from mlip.data.graph import LabelledGraph
from mlip.errors import ConfigError
from mlip.nn.derivatives import ForceField, Prediction
from train.losses import LossWeights, compute_loss


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


class ForceFieldModule(LightningModule):
    """Training and validation of a force field.

    Args:
        force_field: To be trained in place.
        loss_weights: Of energy, forces and stress.
        optimizer: Its numbers.
        steps_per_epoch: Batches per epoch, for the schedule.
    """

    def __init__(
        self, force_field: ForceField, loss_weights: LossWeights, optimizer: Adam, steps_per_epoch: int
    ) -> None:
        super().__init__()
        self.force_field = force_field
        self.loss_weights = loss_weights
        self.optimizer = optimizer
        self.steps_per_epoch = steps_per_epoch

    def forward(self, graph: LabelledGraph) -> Prediction:
        """Predict a batch."""
        return self.force_field(*graph.inputs)

    def training_step(self, graph: LabelledGraph, _: int) -> Tensor:
        """Loss of one batch."""
        loss, terms = compute_loss(self.loss_weights, self(graph), graph)
        self._log_terms("train", loss, terms, graph)
        return loss

    def validation_step(self, graph: LabelledGraph, _: int) -> None:
        """Log the loss terms of one batch; forces need gradients here, too."""
        with torch.enable_grad():
            prediction = self(graph)
        self._log_terms("valid", *compute_loss(self.loss_weights, prediction, graph), graph)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Adam and its schedule, stepped after every batch."""
        settings = self.optimizer
        adam = torch.optim.AdamW(self.parameters(), lr=settings.lr, weight_decay=settings.weight_decay)
        schedule = torch.optim.lr_scheduler.LambdaLR(adam, self._lr_factor)
        return {"optimizer": adam, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_train_start(self) -> None:
        """Let the learning rate and the epochs asked for now hold, not those in a checkpoint."""
        schedule = self.trainer.lr_scheduler_configs[0].scheduler
        schedule.base_lrs = [self.optimizer.lr for _ in schedule.base_lrs]
        for group in schedule.optimizer.param_groups:
            group["initial_lr"] = self.optimizer.lr
            group["lr"] = self.optimizer.lr * self._lr_factor(schedule.last_epoch)

    def _lr_factor(self, step: int) -> float:
        epochs = (step + 1) / self.steps_per_epoch
        max_epochs = self.trainer.max_epochs
        if epochs < self.optimizer.warmup_epochs:
            return epochs / self.optimizer.warmup_epochs
        if max_epochs is None or max_epochs < 0:
            return 1.0
        decay = (epochs - self.optimizer.warmup_epochs) / max(max_epochs - self.optimizer.warmup_epochs, 1e-9)
        return 0.5 * (1.0 + math.cos(math.pi * min(decay, 1.0)))

    def _log_terms(self, stage: str, loss: Tensor, terms: dict[str, Tensor], graph: LabelledGraph) -> None:
        values = {f"{stage}/loss": loss} | {f"{stage}/{k}_mse": v.detach() for k, v in terms.items()}
        self.log_dict(values, on_step=False, on_epoch=True, batch_size=graph.num_structures)

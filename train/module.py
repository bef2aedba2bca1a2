"""What Lightning trains: a force field, its loss, its optimizer and learning-rate schedule."""

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor

from mlip.data.graph import LabelledGraph
from mlip.nn.derivatives import ForceField, Prediction
from train.losses import SquaredLoss
from train.optimizers import Optimizer


class ForceFieldModule(LightningModule):
    """Training and validation of a force field.

    Args:
        force_field: To be trained in place.
        loss: Of energy, forces and stress.
        optimizer: Its numbers.
        steps_per_epoch: Batches per epoch, for the schedule.
    """

    def __init__(
        self, force_field: ForceField, loss: SquaredLoss, optimizer: Optimizer, steps_per_epoch: int
    ) -> None:
        super().__init__()
        self.force_field = force_field
        self.loss = loss
        self.optimizer = optimizer
        self.steps_per_epoch = steps_per_epoch

    def forward(self, graph: LabelledGraph) -> Prediction:
        """Predict a batch."""
        return self.force_field(*graph.inputs)

    def training_step(self, graph: LabelledGraph, _: int) -> Tensor:
        """Loss of one batch."""
        progress = self.trainer.current_epoch / self._max_epochs
        loss, terms = self.loss.compute(self(graph), graph, progress)
        self._log_terms("train", loss, terms, graph)
        return loss

    def backward(self, loss: Tensor) -> None:
        """Gradients of the parameters alone: those of the edge vectors, second derivatives, nobody reads."""
        loss.backward(inputs=[each for each in self.parameters() if each.requires_grad])

    def validation_step(self, graph: LabelledGraph, _: int) -> None:
        """Log the loss terms of one batch; forces need gradients here, too."""
        with torch.enable_grad():
            prediction = self(graph)
        self._log_terms("valid", *self.loss.compute(prediction, graph), graph)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """The optimizer and its schedule, stepped after every batch."""
        optimizer = self.optimizer.build(self.parameters())
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self._lr_factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_train_start(self) -> None:
        """Let the learning rate and the epochs asked for now hold, not those in a checkpoint."""
        schedule = self.trainer.lr_scheduler_configs[0].scheduler
        schedule.base_lrs = [self.optimizer.lr for _ in schedule.base_lrs]
        for group in schedule.optimizer.param_groups:
            group["initial_lr"] = self.optimizer.lr
            group["lr"] = self.optimizer.lr * self._lr_factor(schedule.last_epoch)

    @property
    def _max_epochs(self) -> int:
        return self.trainer.max_epochs or 1

    def _lr_factor(self, step: int) -> float:
        return self.optimizer.lr_factor((step + 1) / self.steps_per_epoch, self._max_epochs)

    def _log_terms(self, stage: str, loss: Tensor, terms: dict[str, Tensor], graph: LabelledGraph) -> None:
        values = {f"{stage}/loss": loss} | {f"{stage}/{k}_mse": v.detach() for k, v in terms.items()}
        self.log_dict(values, on_step=False, on_epoch=True, batch_size=graph.num_structures)

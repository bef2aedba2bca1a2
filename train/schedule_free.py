"""Schedule-free AdamW: a constant learning rate, and an average that is good at every moment."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from torch import nn

EPSILON = 1e-8


class ScheduleFreeAdamW(torch.optim.Optimizer):
    """AdamW whose steps z are averaged to x, with gradients taken between the two, at y.

    With g the gradient at y, v its running mean square and c = lr^2 / (sum of lr^2 so far):

        z <- z - lr (g / sqrt(v) + weight_decay y),    x <- (1 - c) x + c z,    y <- (1 - beta_1) z + beta_1 x

    The parameters are y; the result of training is x, `state[parameter]["x"]`.

    Args:
        parameters: What is trained.
        lr: Learning rate.
        beta_1: How close to x the gradients are taken.
        beta_2: Decay of the mean square.
        weight_decay: Decoupled weight decay.

    Source: Defazio et al. 2024 (arXiv 2405.15682), algorithm 1; lr in it is the largest so far.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float,
        beta_1: float,
        beta_2: float,
        weight_decay: float,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": (beta_1, beta_2),
            "weight_decay": weight_decay,
            "num_steps": 0,
            "largest_lr": 0.0,
            "sum_of_weights": 0.0,
        }
        super().__init__(parameters, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Move the parameters by the gradients that they hold, or that `closure` leaves in them."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            group["num_steps"] += 1
            group["largest_lr"] = max(group["largest_lr"], group["lr"])
            weight = group["largest_lr"] ** 2
            group["sum_of_weights"] += weight
            share = weight / group["sum_of_weights"] if weight else 0.0
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._move(parameter, group, share)
        return loss

    def _move(self, parameter: nn.Parameter, group: dict[str, Any], share: float) -> None:
        state = self.state[parameter]
        if not state:
            state["x"], state["z"] = parameter.clone(), parameter.clone()
            state["mean_square"] = torch.zeros_like(parameter)
        x, z, mean_square = state["x"], state["z"], state["mean_square"]
        beta_1, beta_2 = group["betas"]
        mean_square.lerp_(parameter.grad.square(), 1.0 - beta_2)  # type: ignore[union-attr]
        root = (mean_square / (1.0 - beta_2 ** group["num_steps"])).sqrt_().add_(EPSILON)
        direction = (parameter.grad / root).add_(parameter, alpha=group["weight_decay"])
        z.sub_(direction, alpha=group["lr"])
        x.lerp_(z, share)
        parameter.copy_(torch.lerp(z, x, beta_1))


class ScheduleFreeAverage(WeightAveraging):
    """Validate and keep the averaged weights x of `ScheduleFreeAdamW`."""

    def __init__(self) -> None:
        super().__init__(use_buffers=False)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Take x over from the optimizer."""
        if self._average_model is None:
            return
        state = trainer.optimizers[0].state
        averages = self._average_model.module.parameters()
        for average, parameter in zip(averages, pl_module.parameters(), strict=True):
            if state[parameter]:  # frozen ones have none
                average.data.copy_(state[parameter]["x"])

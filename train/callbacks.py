"""Lightning callbacks: the table of metrics of every epoch, and when to stop early."""

import csv
import logging
import math
import time
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping

from mlip.errors import MlipError

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 10.0


class MetricsTable(Callback):
    """Append one row per epoch to `metrics.csv`, and a line to the log now and then.

    Rows of epochs that a resumed run repeats are cut off first: the table of a killed and continued run
    equals that of an unbroken one.

    Args:
        path: The CSV file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.started = time.monotonic()
        self.last_line = -math.inf

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the rows of finished epochs only."""
        if not self.path.exists():
            return
        with self.path.open() as stream:
            rows = [
                row
                for row in csv.reader(stream)
                if row and (row[0] == "epoch" or int(row[0]) < trainer.current_epoch)
            ]
        with self.path.open("w", newline="") as stream:
            csv.writer(stream).writerows(rows)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the epoch's row."""
        metrics = dict(
            _with_root(name, value.item()) for name, value in sorted(trainer.callback_metrics.items())
        )
        _require_finite(metrics, trainer.current_epoch)
        row = {"epoch": trainer.current_epoch, "lr": trainer.optimizers[0].param_groups[0]["lr"], **metrics}
        is_new = not self.path.exists()
        with self.path.open("a", newline="") as stream:
            writer = csv.DictWriter(stream, row.keys())
            if is_new:
                writer.writeheader()
            writer.writerow(row)
        if time.monotonic() - self.last_line > SECONDS_BETWEEN_LINES:
            self.last_line = time.monotonic()
            self._log_line(trainer, metrics)

    def _log_line(self, trainer: Trainer, metrics: dict[str, float]) -> None:
        errors = "  ".join(
            f"{name.split('/')[1].removesuffix('_rmse')} {1000 * metrics[name]:.1f} m{unit}"
            for name, unit in (("valid/energy_rmse", "eV/atom"), ("valid/forces_rmse", "eV/A"))
            if name in metrics
        )
        logger.info("epoch %d of %s  valid RMSE  %s", trainer.current_epoch + 1, trainer.max_epochs, errors)


class Patience(EarlyStopping):
    """Early stopping whose patience may be raised or lowered when a run goes on."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore how long nothing got better, and keep the patience that is asked for now."""
        super().load_state_dict(state_dict | {"patience": self.patience})


def _with_root(name: str, value: float) -> tuple[str, float]:
    """Mean squared errors, averaged over the epoch, become root-mean-square errors."""
    return (name.replace("_mse", "_rmse"), math.sqrt(value)) if name.endswith("_mse") else (name, value)


def _require_finite(metrics: dict[str, float], epoch: int) -> None:
    if not all(math.isfinite(value) for value in metrics.values()):
        raise MlipError(
            f"training diverged in epoch {epoch}: the loss is not a number; lower optimizer.lr or check the "
            "data; checkpoints/best.ckpt holds the best epoch before"
        )

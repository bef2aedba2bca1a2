"""What `accuracy.py` runs: two data sets, and a row for every way of training."""

from dataclasses import dataclass, field
from typing import Any, Literal

from accuracy_trainers import REMOVED, Task

TASKS = {
    task.name: task
    for task in (
        Task("lips", "dataset:lips/train_700.extxyz.xz", (30, 10, 60), r_max=4.0, epochs=40),
        Task("acac", "dataset:acac/train_300K.extxyz.xz", (60, 20, 100), r_max=4.0, epochs=40),
        Task("acac_long", "dataset:acac/train_300K.extxyz.xz", (60, 20, 100), r_max=4.0, epochs=160),
    )
}


@dataclass(frozen=True)
class Row:
    """A way of training.

    Attributes:
        label: In the tables.
        trainer: Whose.
        changes: From the matched settings: keys of `mlip train`, or parts of nequip's `training_module`.
        same_order: Whether ours takes the frames in the order of nequip's loader, not in its own.
    """

    label: str
    trainer: Literal["nequip", "ours"]
    changes: dict[str, Any] = field(default_factory=dict)
    same_order: bool = False


SCHEDULE_FREE = {
    "_target_": "nequip.train.ScheduleFreeLightningModule",
    "optimizer": {"_target_": "schedulefree.AdamWScheduleFree", "lr": 0.01, "warmup_steps": 20},
    "lr_scheduler": None,
    "ema_decay": REMOVED,
}
PLATEAU = {
    "optimizer": {"_target_": "torch.optim.Adam", "lr": 0.01},
    "lr_scheduler": {
        "interval": "epoch",
        "monitor": "val0_epoch/weighted_sum",
        "scheduler": {"_target_": "torch.optim.lr_scheduler.ReduceLROnPlateau", "factor": 0.6, "patience": 5},
    },
}
MUON = {
    "optimizer": {
        "_target_": "nequip.train.MuonWithAuxAdam",
        "param_groups": {
            "_target_": "nequip.model.MuonParamGroups",
            "muon": {"lr": 0.01},
            "adam": {"lr": 0.01},
        },
    },
}
SCHEDULE_FREE_30 = {"optimizer": "schedule_free", "optimizer.lr": 0.03}

REFERENCE = "ours"

ROWS = {
    "nequip": Row("nequip, matched", "nequip"),
    "ours_same_order": Row("ours, matched, frames in nequip's order", "ours", same_order=True),
    "ours": Row("ours, matched", "ours"),
    "nequip_schedule_free": Row("nequip, schedule-free AdamW", "nequip", SCHEDULE_FREE),
    "nequip_plateau": Row("nequip, lr falls on plateaus", "nequip", PLATEAU),
    "nequip_muon": Row("nequip, Muon", "nequip", MUON),
    "ema_999": Row("EMA decay 0.999", "ours", {"trainer.ema_decay": 0.999}),
    "clip": Row("gradients clipped at 10", "ours", {"trainer.gradient_clip": 10}),
    "batch_1": Row("batches of 1", "ours", {"data.batch_size": 1}),
    "lr_5": Row("lr 0.005", "ours", {"optimizer.lr": 0.005}),
    "lr_20": Row("lr 0.02", "ours", {"optimizer.lr": 0.02}),
    "lr_40": Row("lr 0.04", "ours", {"optimizer.lr": 0.04}),
    "energy_10": Row("energy weight 10", "ours", {"loss.energy": 10}),
    "energy_100": Row("energy weight 100", "ours", {"loss.energy": 100}),
    "energy_rising": Row("energy weight 1 to 100", "ours", {"loss.final_energy": 100}),
    "huber": Row("Huber loss", "ours", {"loss": "huber"}),
    "huber_wide": Row(
        "Huber loss, delta 0.1 eV/A",
        "ours",
        {"loss": "huber", "loss.energy_delta": 0.05, "loss.forces_delta": "{0.0: 0.1}"},
    ),
    "schedule_free": Row("schedule-free AdamW", "ours", {"optimizer": "schedule_free"}),
    "schedule_free_30": Row(
        "schedule-free AdamW, lr 0.03", "ours", {"optimizer": "schedule_free", "optimizer.lr": 0.03}
    ),
    "scale_3": Row("energy scale 3 eV", "ours", {"model.per_type_energy_scales": 3.0}),
    "scale_10": Row("energy scale 10 eV", "ours", {"model.per_type_energy_scales": 10.0}),
    "scale_10_lr_3": Row(
        "energy scale 10 eV, lr 0.003", "ours", {"model.per_type_energy_scales": 10.0, "optimizer.lr": 0.003}
    ),
    "scale_per_type": Row("energy scale per species", "ours", {"model.per_type_energy_scales": "per_type"}),
}

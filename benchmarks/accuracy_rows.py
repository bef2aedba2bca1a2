"""What `accuracy.py` runs: two data sets, and a row for every way of training."""

from dataclasses import dataclass, field
from typing import Any, Literal

from accuracy_trainers import Task

WIDE = {"num_layers": 4, "parity": True, "num_features": 32, "radial_mlp_width": 128}  # the defaults

TASKS = {
    task.name: task
    for task in (
        Task("lips", "dataset:lips/train_700.extxyz.xz", (30, 10, 60), r_max=4.0, epochs=40),
        Task("acac", "dataset:acac/train_300K.extxyz.xz", (60, 20, 100), r_max=4.0, epochs=40),
        Task("acac_long", "dataset:acac/train_300K.extxyz.xz", (60, 20, 100), r_max=4.0, epochs=160),
        Task("acac_wide", "dataset:acac/train_300K.extxyz.xz", (60, 20, 100), 5.0, 20, architecture=WIDE),
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


LR_40 = {"optimizer.lr": 0.04}
PLATEAU = {  # as in nequip's tutorial
    "lr_scheduler": {
        "interval": "epoch",
        "monitor": "val0_epoch/weighted_sum",
        "scheduler": {"_target_": "torch.optim.lr_scheduler.ReduceLROnPlateau", "factor": 0.6, "patience": 5},
    },
}
MUON_GROUPS = {"_target_": "nequip.model.MuonParamGroups", "muon": {"lr": 0.01}, "adam": {"lr": 0.01}}
MUON = {"optimizer": {"_target_": "nequip.train.MuonWithAuxAdam", "param_groups": MUON_GROUPS}}

REFERENCE = "ours"

ROWS = {
    "nequip": Row("nequip, matched", "nequip"),
    "nequip_plateau": Row("nequip, lr falls on plateaus", "nequip", PLATEAU),
    "nequip_muon": Row("nequip, Muon", "nequip", MUON),
    "ours_same_order": Row("ours, matched, frames in nequip's order", "ours", same_order=True),
    "ours": Row("ours, matched", "ours"),
    "ema_999": Row("EMA decay 0.999", "ours", {"trainer.ema_decay": 0.999}),
    "batch_1": Row("batches of 1", "ours", {"data.batch_size": 1}),
    "energy_10": Row("energy weight 10", "ours", {"loss.energy": 10}),
    "energy_rising": Row("energy weight 1 to 100", "ours", {"loss.final_energy": 100}),
    "huber": Row("Huber loss", "ours", {"loss": "huber"}),
    "schedule_free": Row("schedule-free AdamW", "ours", {"optimizer": "schedule_free"}),
    "scale_10": Row("energy scale 10 eV", "ours", {"model.per_type_energy_scales": 10.0}),
    "lr_5": Row("lr 0.005", "ours", {"optimizer.lr": 0.005}),
    "lr_20": Row("lr 0.02", "ours", {"optimizer.lr": 0.02}),
    "lr_20_late": Row("lr 0.02, falls late", "ours", {"optimizer.lr": 0.02, "optimizer.decay_fraction": 0.3}),
    "lr_40": Row("lr 0.04", "ours", LR_40),
    "lr_80": Row("lr 0.08", "ours", {"optimizer.lr": 0.08}),
    "lr_40_energy_10": Row("lr 0.04, energy weight 10", "ours", LR_40 | {"loss.energy": 10}),
    "lr_40_rising": Row("lr 0.04, energy weight 1 to 100", "ours", LR_40 | {"loss.final_energy": 100}),
    "lr_40_huber": Row("lr 0.04, Huber loss", "ours", LR_40 | {"loss": "huber"}),
    "lr_40_free": Row("lr 0.04, schedule-free AdamW", "ours", LR_40 | {"optimizer": "schedule_free"}),
    "lr_40_scales": Row(
        "lr 0.04, energy scale per species", "ours", LR_40 | {"model.per_type_energy_scales": "per_type"}
    ),
}

# What one run of the script trains: data set, rows, seeds.
ALL = (0, 1, 2)
PLAN = (
    ("lips", ("nequip", "ours_same_order", "ours", "lr_20", "lr_20_late", "lr_40"), ALL),
    ("lips", ("lr_40_energy_10", "lr_40_huber"), ALL),
    ("lips", ("batch_1", "energy_10", "huber", "scale_10", "lr_80", "lr_40_free", "lr_40_rising"), (0,)),
    ("acac", ("nequip", "ours_same_order", "ours", "lr_20", "lr_20_late", "lr_40"), ALL),
    ("acac", ("lr_40_energy_10", "lr_40_huber"), ALL),
    ("acac", ("ema_999", "batch_1", "energy_10", "energy_rising", "huber"), (0,)),
    ("acac", ("schedule_free", "scale_10", "lr_5", "lr_80", "lr_40_free", "lr_40_rising"), (0,)),
    ("acac", ("nequip_plateau", "nequip_muon"), (0,)),
    ("lips", ("nequip_plateau",), (0,)),
    ("acac_long", ("nequip_plateau", "lr_20_late"), (0,)),
    ("acac_wide", ("nequip_plateau",), (0,)),
    ("acac_long", ("ours", "lr_20", "lr_40", "lr_40_energy_10", "lr_40_rising", "lr_40_huber"), (0,)),
    ("acac_wide", ("ours", "lr_20", "lr_20_late"), ALL),
    ("acac_wide", ("lr_40",), (0,)),
)

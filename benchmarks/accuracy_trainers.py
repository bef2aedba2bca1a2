"""The two sides of `accuracy.py`: a training by `nequip-train`, one by `mlip train`, of the same numbers."""

import json
import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import yaml
from ase import Atoms
from nequip import model  # noqa: F401
from nequip.data import datamodule  # noqa: F401
from nequip.scripts.train import main as nequip_main
from torch.utils.data import DataLoader

import train.train  # before the forks, as the parts of nequip
from mlip.cli import main as mlip_main
from mlip.data.dataset import GraphDataset
from mlip.data.graph import collate
from mlip.data.statistics import Statistics, compute_statistics

REMOVED = "removed"  # a key of nequip's training module that is taken out


@dataclass(frozen=True)
class Task:
    """Data, architecture and budget that both sides share.

    Attributes:
        name: Of the data set.
        file: Frames that are split into training, validation and test.
        num_frames: How many train, validate and test.
        r_max: Cutoff radius, A.
        epochs: Passes over the training frames.
        batch_size: Frames a step; divides the number of training frames.
        lr: Peak learning rate.
        ema_decay: Of the averaged weights.
        architecture: What differs from two small layers.
    """

    name: str
    file: str
    num_frames: tuple[int, int, int]
    r_max: float
    epochs: int
    batch_size: int = 5
    lr: float = 0.01
    ema_decay: float = 0.99
    architecture: dict[str, Any] = field(default_factory=dict)

    @property
    def model(self) -> dict[str, Any]:
        """Numbers of NequIP; both packages have the same names for them."""
        return {
            "r_max": self.r_max,
            "num_layers": 2,
            "l_max": 1,
            "parity": False,
            "num_features": 16,
            "radial_mlp_depth": 1,
            "radial_mlp_width": 32,
            "num_bessels": 8,
            "polynomial_cutoff_p": 6,
            **self.architecture,
        }


def statistics_of(frames: list[Atoms], task: Task) -> Statistics:
    """Scales, shifts and mean number of neighbors that both sides start from."""
    return compute_statistics(GraphDataset(frames, task.r_max))


def train_nequip(
    task: Task, data: Path, folder: Path, seed: int, statistics: Statistics, changes: dict[str, Any]
) -> Path:
    """Run `nequip-train`; returns its best checkpoint.

    Args:
        task: What is shared.
        data: Folder with train, valid and test.extxyz.
        folder: To work in.
        seed: Of weights and order.
        statistics: Of the training frames.
        changes: Parts of `training_module` that differ from the matched settings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = nequip_config(task, data, folder, seed, statistics)
    module = config["training_module"] | changes
    config["training_module"] = {key: value for key, value in module.items() if value != REMOVED}
    (folder / "nequip.yaml").write_text(yaml.safe_dump(config))
    keys = ["-cp", str(folder), "-cn", "nequip.yaml", f"hydra.run.dir={folder}", "hydra.job.chdir=false"]
    _run("nequip-train", keys, folder)
    return folder / "best.ckpt"


def nequip_config(task: Task, data: Path, folder: Path, seed: int, statistics: Statistics) -> dict[str, Any]:
    """What `nequip-train` reads: our optimizer, schedule, loss, averaging and choice of the best epoch."""
    species = list(statistics.species)
    steps = task.num_frames[0] // task.batch_size
    loader = {"_target_": "torch.utils.data.DataLoader", "batch_size": task.batch_size}
    loss = {"_target_": "nequip.train.EnergyForceLoss", "coeffs": {"total_energy": 1.0, "forces": 1.0}}
    return {
        "run": ["train"],
        "data": {
            "_target_": "nequip.data.datamodule.ASEDataModule",
            "seed": seed,
            "train_file_path": str(data / "train.extxyz"),
            "val_file_path": str(data / "valid.extxyz"),
            "exclude_keys": ["stress"],
            "transforms": [
                {"_target_": "nequip.data.transforms.NeighborListTransform", "r_max": task.r_max},
                {
                    "_target_": "nequip.data.transforms.ChemicalSpeciesToAtomTypeMapper",
                    "model_type_names": species,
                },
            ],
            "train_dataloader": loader | {"shuffle": True},
            "val_dataloader": loader,
        },
        "trainer": {
            "_target_": "lightning.Trainer",
            "accelerator": "cpu",
            "devices": 1,
            "max_epochs": task.epochs,
            "logger": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "num_sanity_val_steps": 0,
            "callbacks": [
                {
                    "_target_": "lightning.pytorch.callbacks.ModelCheckpoint",
                    "dirpath": str(folder),
                    "filename": "best",
                    "monitor": "val0_epoch/weighted_sum",
                    "enable_version_counter": False,
                }
            ],
        },
        "training_module": {
            "_target_": "nequip.train.EMALightningModule",
            "ema_decay": task.ema_decay,
            "loss": loss,
            "val_metrics": loss,
            "optimizer": {"_target_": "torch.optim.AdamW", "lr": task.lr, "weight_decay": 0.0},
            "lr_scheduler": warm_up_and_cosine(steps, task.epochs),
            "model": {
                "_target_": "nequip.model.NequIPGNNModel",
                "seed": seed,
                "model_dtype": "float32",
                "compile_mode": "eager",
                "type_names": species,
                "avg_num_neighbors": statistics.avg_num_neighbors,
                "per_type_energy_scales": statistics.forces_rms,
                "per_type_energy_shifts": dict(zip(species, statistics.isolated_energies, strict=True)),
                **task.model,
            },
        },
    }


def warm_up_and_cosine(steps: int, epochs: int) -> dict[str, Any]:
    """Our default schedule in torch's words: one epoch of linear warm-up, then a cosine to zero."""
    schedulers = "torch.optim.lr_scheduler"
    return {
        "interval": "step",
        "scheduler": {
            "_target_": f"{schedulers}.SequentialLR",
            "milestones": [steps - 1],
            "schedulers": [
                {"_target_": f"{schedulers}.LinearLR", "start_factor": 1 / steps, "total_iters": steps - 1},
                {"_target_": f"{schedulers}.CosineAnnealingLR", "T_max": (epochs - 1) * steps},
            ],
        },
    }


def train_ours(
    task: Task, data: Path, folder: Path, seed: int, changes: dict[str, Any], same_order: bool
) -> Path:
    """Run `mlip train`; returns its potential.

    Args:
        task: What is shared.
        data: Folder with train, valid and test.extxyz.
        folder: Its run_dir.
        seed: Of weights and order.
        changes: Keys of `mlip train` that differ from the matched settings.
        same_order: Take the frames in the order of nequip's loader.
    """
    if same_order:
        train.train.training_loader = nequips_loader
    keys = {
        "data.train": data / "train.extxyz",
        "data.valid": data / "valid.extxyz",
        "data.batch_size": task.batch_size,
        **{f"model.{key}": value for key, value in task.model.items()},
        "loss.stress": 0.0,
        "optimizer.lr": task.lr,
        "optimizer.decay_fraction": 1.0,
        "trainer.max_epochs": task.epochs,
        "trainer.patience": "null",
        "trainer.gradient_clip": "null",
        "trainer.ema_decay": task.ema_decay,
        "seed": seed,
        "device": "cpu",
        "run_dir": folder,
        **changes,
    }
    folder.mkdir(parents=True, exist_ok=True)
    _run("mlip", ["train", *(f"{key}={yaml_value(value)}" for key, value in keys.items())], folder)
    return folder / "potential.mlip"


def nequips_loader(dataset: GraphDataset, batch_size: int, seed: int) -> DataLoader:
    """Our frames in batches as torch's loader shuffles them when nequip seeds it."""
    generator = torch.Generator().manual_seed(seed)
    return DataLoader(dataset, batch_size, shuffle=True, generator=generator, collate_fn=collate)


def yaml_value(value: Any) -> str:
    """A value as Hydra's command line takes it."""
    return json.dumps(value) if isinstance(value, bool | list | dict) else str(value)


def _run(name: str, arguments: list[str], folder: Path) -> None:
    """Run a command as it stands on the command line, its output in `output.txt`.

    It runs in this process, which `accuracy.py` forks for each training: imports are paid once.
    """
    with (folder / "output.txt").open("w") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    sys.argv = [name, *arguments]
    started = time.process_time()
    if name == "mlip":
        mlip_main()
    else:
        nequip_main()
    (folder / "seconds.txt").write_text(f"{time.process_time() - started:.1f}\n")

"""What `conf/train.yaml` says, as checked frozen dataclasses."""

import re
from dataclasses import dataclass
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from mlip.deploy.calculator import select_device
from mlip.deploy.potential import DTYPES, Potential
from mlip.errors import ConfigError
from mlip.models.config import ModelConfig
from mlip.nn.kernels.choose import resolve_kernel
from mlip.settings import build_group, build_settings
from train.data import DataConfig
from train.finetune import FinetuneConfig, require_same_architecture
from train.losses import SquaredLoss
from train.optimizers import Optimizer


@dataclass(frozen=True)
class TrainerConfig:
    """How long training goes on.

    Attributes:
        max_epochs: Epochs; the learning rate reaches zero at their end.
        max_time: DD:HH:MM:SS, all sessions together, after which no other epoch begins; null has no limit.
        patience: Stop after so many epochs without a better validation loss; null never does.
        gradient_clip: Largest norm of the gradient; null does not clip.
        ema_decay: Decay per step of the averaged weights that are validated and kept.

    Raises:
        ConfigError: A number is out of its range.
    """

    max_epochs: int = 200
    max_time: str | None = None
    patience: int | None = 50
    gradient_clip: float | None = 10.0
    ema_decay: float = 0.99

    def __post_init__(self) -> None:
        if self.max_epochs < 1:
            raise ConfigError(f"found trainer.max_epochs={self.max_epochs}; expected 1 or more")
        if self.max_time is not None and not re.fullmatch(r"\d+:\d\d:\d\d:\d\d", self.max_time):
            raise ConfigError(f"found trainer.max_time={self.max_time}; expected DD:HH:MM:SS or null")
        if self.patience is not None and self.patience < 1:
            raise ConfigError(f"found trainer.patience={self.patience}; expected 1 or more, or null")
        if self.gradient_clip is not None and not self.gradient_clip > 0.0:
            raise ConfigError(
                f"found trainer.gradient_clip={self.gradient_clip}; expected a number above zero, or null"
            )
        if not 0.0 <= self.ema_decay < 1.0:
            raise ConfigError(f"found trainer.ema_decay={self.ema_decay}; expected at least 0 and below 1")


@dataclass(frozen=True)
class Settings:
    """What `conf/train.yaml` says, checked before any data is read.

    `init` is the potential to start from, or None; its architecture goes before that of the config. `kernel`
    is the back end that `auto` stands for on the device.
    """

    init_file: str
    init: Potential | None
    finetune: FinetuneConfig
    architecture: ModelConfig
    data: DataConfig
    loss: SquaredLoss
    optimizer: Optimizer
    trainer: TrainerConfig
    logger: Any
    dtype: str
    device: torch.device
    kernel: str
    seed: int

    @classmethod
    def from_config(cls, config: DictConfig) -> "Settings":
        """Build every group.

        Raises:
            ConfigError: A key or a value that makes no sense.
        """
        if config.dtype not in DTYPES:
            raise ConfigError(f"found dtype={config.dtype}; expected {' or '.join(DTYPES)}")
        data: dict[str, Any] = OmegaConf.to_container(config.data)  # type: ignore[assignment]
        device = select_device(config.device)
        init, finetune = _finetuning(config)
        return cls(
            init_file=str(config.init),
            init=init,
            finetune=finetune,
            architecture=build_group(config, "model") if init is None else init.config,
            data=build_settings(DataConfig, data, "data"),
            loss=build_group(config, "loss"),
            optimizer=build_group(config, "optimizer"),
            trainer=build_group(config, "trainer"),
            logger=build_group(config, "logger") if config.logger else False,
            dtype=config.dtype,
            device=device,
            kernel=resolve_kernel(config.kernel, device),
            seed=config.seed,
        )


def _finetuning(config: DictConfig) -> tuple[Potential | None, FinetuneConfig]:
    """The potential to start from and how; none without `init`."""
    values: dict[str, Any] = OmegaConf.to_container(config.finetune)  # type: ignore[assignment]
    finetune = build_settings(FinetuneConfig, values, "finetune")
    if config.init is None:
        if finetune != FinetuneConfig():
            raise ConfigError(
                "found settings of finetune without init; give the potential to start from: init=FILE"
            )
        return None, finetune
    init = Potential.load(config.init)
    require_same_architecture(init.config, OmegaConf.to_container(config.model))  # type: ignore[arg-type]
    return init, finetune

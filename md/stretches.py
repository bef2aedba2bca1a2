"""The stretches of trajectories that `mlip analyze` looks at, as its settings name them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from md.analysis import Frames, load_frames
from mlip.errors import ConfigError, DataError
from mlip.inputs import as_names


def load_stretches(paths: Sequence[Path], config: DictConfig) -> list[Frames]:
    """Every stretch of every trajectory, with names that tell them apart.

    Args:
        paths: The trajectories.
        config: The keys of `conf/analyze.yaml`.

    Raises:
        ConfigError: There are not as many temperatures or glasses as trajectories.
        DataError: A trajectory cannot be read, lacks a species, or has others than the first.
    """
    temperatures = _per_trajectory(config.temperature_K, len(paths))
    types = as_names(config.types) or None
    samples = _name_samples(config, len(paths))
    stretches = []
    for path, temperature, sample in zip(paths, temperatures, samples, strict=True):
        for frames in load_frames(path, config.timestep_fs, types, temperature, config.particles):
            label = frames.label or (path.stem if len(paths) > 1 else "")
            stretches.append(replace(frames, label=label, sample=sample))
    for frames in stretches:
        if frames.species != stretches[0].species:
            raise DataError(
                f"found {', '.join(frames.species)} in {frames.label} and {', '.join(stretches[0].species)} "
                f"in {stretches[0].label}; expected the same species: analyse them one by one"
            )
    for symbol in as_names(config.species):
        stretches[0].select(symbol)  # refused now, not after the work that comes before
    labels = [frames.label for frames in stretches]
    if len(set(labels)) == len(labels):
        return stretches
    return [replace(frames, label=f"{frames.label}_{n}".strip("_")) for n, frames in enumerate(stretches, 1)]


def _name_samples(config: DictConfig, count: int) -> list[str]:
    """Which glass each trajectory is of: its own, unless `glasses` says otherwise."""
    names = as_names(config.glasses) or [str(number) for number in range(1, count + 1)]
    if len(names) != count:
        raise ConfigError(f"found glasses={names} for {count} trajectories; expected a name for each")
    return names


def _per_trajectory(value: Any, count: int) -> list[float | None]:
    values = OmegaConf.to_container(value) if OmegaConf.is_list(value) else [value] * count
    numbers = isinstance(values, list) and all(isinstance(each, int | float | None) for each in values)
    if not isinstance(values, list) or not numbers or len(values) != count:
        raise ConfigError(f"found temperature_K={value} for {count} trajectories; expected one for each")
    return [None if each is None else float(each) for each in values]

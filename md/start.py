"""The structures that a run starts from: of a file, or made by a builder."""

from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from omegaconf import DictConfig

from md.engines.base import Backend
from md.origin import tag_metal
from md.state import State
from mlip.errors import ConfigError, DataError
from mlip.inputs import resolve_input
from mlip.structures.build import build_chosen


def first_structures(config: DictConfig, backend: Backend) -> list[State]:
    """All systems of a run: its structures, each as often as there are replicas.

    With a builder every replica has structures of its own, made with its own seed: four packings of a glass,
    not one packing four times.

    Args:
        config: `conf/md.yaml`, resolved.
        backend: Whether it moves several systems at once.

    Raises:
        ConfigError: Settings that make no sense.
        DataError: The structure cannot be read, or a builder cannot make anything of it.
    """
    if config.replicas < 1:
        raise ConfigError(f"found replicas={config.replicas}; expected 1 or more")
    builder = config.get("builder")
    if config.structure is None and builder is None:
        raise ConfigError("found no structure; expected structure=FILE, or builder=glass to pack one")
    frames = []
    if config.structure is not None:
        frames = read_structures(resolve_input(config.structure), config.index, backend.batches)
    if builder is not None:
        seeds = range(config.seed, config.seed + config.replicas)
        systems = [atoms for seed in seeds for atoms in build_chosen(builder, frames, seed)]
    else:
        systems = [atoms for atoms in frames for _ in range(config.replicas)]
    if config.origin is not None:
        for atoms in systems:
            atoms.arrays["origin"] = tag_metal(atoms, config.origin)
    return [State.from_atoms(atoms) for atoms in systems]


def read_structures(path: Path, index: int | None, several: bool) -> list[Atoms]:
    """Read one structure, or all of a file.

    Args:
        path: Any file that ASE reads.
        index: Which frame; None takes the only one, or all.
        several: Whether all of several may be taken.

    Raises:
        DataError: The file cannot be read, is empty, or has no frame of this index.
        ConfigError: The file has several frames, which are too many, and no index was given.
    """
    try:
        frames = ase.io.read(path, index=":")
    except Exception as error:  # ASE's readers raise whatever their format makes them raise
        raise DataError(
            f"cannot read {path} as a structure ({error}); expected a file that ASE reads"
        ) from None
    if not isinstance(frames, list) or not frames:
        raise DataError(f"{path} holds no structure; expected at least one")
    if index is None and len(frames) > 1 and not several:
        raise ConfigError(
            f"{path} holds {len(frames)} frames; say which one with index=0 ... {len(frames) - 1}, or take "
            "engine=torch for all of them at once"
        )
    try:
        chosen = frames if index is None else [frames[index]]
    except TypeError:
        raise ConfigError(f"found index={index}; expected a whole number or null") from None
    except IndexError:
        raise DataError(f"{path} holds {len(frames)} frames; found index={index}") from None
    if not all(np.isfinite(atoms.get_positions()).all() for atoms in chosen):
        raise DataError(f"{path} has positions that are not finite; expected numbers in A")
    return chosen

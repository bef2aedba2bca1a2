"""Splits of a data set that say what they keep apart: blocks in time, or whole subsets."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from mlip.data.splits import Split
from mlip.errors import ConfigError, DataError


def split_blocks(frames: Sequence[Atoms], fraction: float, blocks: int = 10, seed: int = 0) -> Split:
    """Take runs of consecutive frames for validation: neighbors in time know each other's energy.

    The frames of each subset (`config_type` and formula; formulas with fewer frames than it takes for one to
    validate are taken together) are cut, in their order, into blocks of equal length. In a block the first
    frames train and the last ones validate, or the other way round, by turns: so validation frames of two
    blocks lie together, and few frames have a neighbor on the other side.

    Args:
        frames: Frames in the order in which they were made.
        fraction: Share of each subset that validates.
        blocks: How many blocks a subset is cut into.
        seed: Which way round the first block is.

    Returns:
        The split; its groups are the runs of frames on one side.

    Raises:
        ConfigError: The fraction is not between 0 and 1, or there is no block.
        DataError: No subset has enough frames.
    """
    if not 0.0 < fraction < 1.0 or blocks < 1:
        raise ConfigError(
            f"found valid={fraction}, blocks={blocks}; expected a share between 0 and 1, and 1 or more"
        )
    in_valid = np.zeros(len(frames), dtype=bool)
    groups = np.zeros(len(frames), dtype=np.int64)
    turn = np.random.default_rng(seed).integers(2)
    for members in _subsets(frames, 1.0 / fraction):
        for part in np.array_split(members, min(blocks, max(1, int(len(members) * fraction)))):
            count = round(len(part) * fraction)
            chosen = part[len(part) - count :] if turn % 2 == 0 else part[:count]
            in_valid[chosen] = True
            turn += 1
        changes = np.concatenate([[True], in_valid[members[1:]] != in_valid[members[:-1]]])
        groups[members] = groups.max() + np.cumsum(changes)
    return _checked(in_valid, groups)


def split_subsets(frames: Sequence[Atoms], key: str, fraction: float, seed: int = 0) -> Split:
    """Take whole subsets as validation frames: how does a potential do on what it never saw?

    Args:
        frames: All frames.
        key: Of `info`, such as `config_type`; frames of one value stay together.
        fraction: Share of the frames that validate, at least.
        seed: Which subsets those are.

    Returns:
        The split; its groups are the subsets.

    Raises:
        ConfigError: The fraction is not between 0 and 1.
        DataError: A frame lacks the key, or all have the same value.
    """
    if not 0.0 < fraction < 1.0:
        raise ConfigError(f"found valid={fraction}; expected a share between 0 and 1")
    missing = [number for number, atoms in enumerate(frames) if key not in atoms.info]
    if missing:
        raise DataError(f"frame {missing[0]} has no {key}; expected it in info of every frame to split by it")
    values = [str(atoms.info[key]) for atoms in frames]
    names, groups = np.unique(values, return_inverse=True)
    chosen: list[int] = []
    for group in np.random.default_rng(seed).permutation(len(names)):
        if np.isin(groups, chosen).sum() < fraction * len(frames):
            chosen.append(int(group))
    return _checked(np.isin(groups, chosen), groups.astype(np.int64))


def _subsets(frames: Sequence[Atoms], enough: float) -> list[NDArray[np.int64]]:
    """Indices of the frames of each config_type and formula, ascending; rare formulas are taken together."""
    kinds = [(str(atoms.info.get("config_type", "")), atoms.get_chemical_formula()) for atoms in frames]
    counts = Counter(kinds)
    names = [f"{kind} {formula if counts[kind, formula] >= enough else ''}" for kind, formula in kinds]
    return [np.flatnonzero(np.array(names) == name) for name in sorted(set(names))]


def _checked(in_valid: NDArray[np.bool_], groups: NDArray[np.int64]) -> Split:
    if in_valid.all() or not in_valid.any():
        side = "validate" if in_valid.all() else "train"
        raise DataError(
            f"all {len(in_valid)} frames would {side}; expected both: more frames, or another valid="
        )
    return Split(np.flatnonzero(~in_valid), np.flatnonzero(in_valid), groups)

"""Seeded splits into training and validation frames that keep near-duplicates together."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from mlip.data.twins import TWIN_DISTANCE, find_twins
from mlip.errors import ConfigError, DataError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Split:
    """Which frames train and which validate.

    Attributes:
        train_indices: Ascending, int64.
        valid_indices: Ascending, int64.
        groups: Group of near-duplicates of every frame, int64 (number of frames,); none is on both sides.
    """

    train_indices: NDArray[np.int64]
    valid_indices: NDArray[np.int64]
    groups: NDArray[np.int64]


def split_frames(
    frames: Sequence[Atoms],
    fraction: float | None = None,
    num_valid: int | None = None,
    seed: int = 0,
    threshold: float = TWIN_DISTANCE,
) -> Split:
    """Choose validation frames at random, whole groups of near-duplicates at a time.

    Lone atoms always train: their energies are the zero of the potential.

    Args:
        frames: All frames.
        fraction: Share of the frames that validate; give this or `num_valid`.
        num_valid: Number of frames that validate.
        seed: Seed of the choice; the same frames and seed give the same split.
        threshold: RMS displacement below which two frames are near-duplicates, A.

    Returns:
        The split. Its validation part is as close to the wanted size as the groups allow.

    Raises:
        ConfigError: The wanted size is not given once, or not between 1 and all but one frame.
        DataError: All frames are near-duplicates of each other.
    """
    wanted = _wanted_size(len(frames), fraction, num_valid)
    groups = find_twins(frames, threshold).groups
    sizes = np.bincount(groups)
    eligible = np.setdiff1d(groups, groups[[len(atoms) == 1 for atoms in frames]])
    order = np.random.default_rng(seed).permutation(eligible)
    chosen = _fill(order, sizes, wanted, largest=len(frames) - 1)
    in_valid = np.isin(groups, chosen)
    if not in_valid.any():
        raise DataError(
            f"The {len(frames)} frames are all near-duplicates (within {threshold} A) or lone atoms; "
            "expected at least two groups to split: give validation frames of their own (mlip train: "
            "data.valid=FILE, mlip learn: valid=FILE)."
        )
    found = int(in_valid.sum())
    logger.info(
        "Split: %d train, %d validate, %d groups of near-duplicates", len(frames) - found, found, len(sizes)
    )
    if abs(found - wanted) > max(1, 0.1 * wanted):
        logger.warning(
            "Near-duplicates come in groups of up to %d frames: %d frames validate instead of %d.",
            sizes.max(),
            found,
            wanted,
        )
    return Split(np.flatnonzero(~in_valid), np.flatnonzero(in_valid), groups)


def _wanted_size(num_frames: int, fraction: float | None, num_valid: int | None) -> int:
    """Turn a fraction or a number into a number, and check it."""
    if fraction is not None and num_valid is None:
        wanted = max(1, round(fraction * num_frames)) if 0.0 < fraction < 1.0 else 0
    elif num_valid is not None and fraction is None:
        wanted = num_valid
    else:
        raise ConfigError("The validation part needs one size; give either a fraction or a number of frames.")
    if not 1 <= wanted < num_frames:
        raise ConfigError(
            f"A validation part of {fraction if num_valid is None else num_valid} cannot be taken from "
            f"{num_frames} frames; expected at least one on each side: give more frames, or another size."
        )
    return wanted


def _fill(order: NDArray[np.int64], sizes: NDArray[np.int64], wanted: int, largest: int) -> list[int]:
    """Take groups in order while they fit; then one more if that comes closer to the wanted size."""
    chosen, left = [], wanted
    for group in order:
        if sizes[group] <= left:
            chosen.append(int(group))
            left -= int(sizes[group])
    rest = [int(group) for group in order if group not in set(chosen)]
    if left > 0 and rest:
        smallest = min(rest, key=lambda group: sizes[group])
        if sizes[smallest] - left < left and wanted - left + sizes[smallest] <= largest:
            chosen.append(smallest)
    return chosen

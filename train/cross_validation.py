"""k-fold cross validation: each part of the data judged by a potential that was trained on the others.

Near-duplicates stay in one part, or each part would know the answers. Source: Chaney et al., with k = 10.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from mlip.data.twins import TWIN_DISTANCE, find_twins
from mlip.deploy.gates import Check, GateResult
from mlip.errors import ConfigError, DataError
from mlip.report.panels import Panel


@dataclass(frozen=True)
class CrossValidation:
    """How it is done, and what is close enough.

    Attributes:
        folds: Parts.
        spread: The force RMSE of the worst part over that of all together.
        overfit: The force RMSE of all parts over that of the potential on the same frames, which it may know.
    """

    folds: int = 5
    spread: float = 2.0
    overfit: float = 2.0

    def __post_init__(self) -> None:
        if self.folds < 2:
            raise ConfigError(f"found folds={self.folds}; expected 2 or more")


def choose_folds(frames: Sequence[Atoms], folds: int, seed: int) -> NDArray[np.int64]:
    """The part of each frame, 0 to `folds` - 1, parts about equal in size; lone atoms have -1: always train.

    Raises:
        DataError: There are fewer groups of near-duplicates than parts.
    """
    groups = find_twins(frames, TWIN_DISTANCE).groups
    is_lone = np.array([len(atoms) == 1 for atoms in frames])
    eligible = np.setdiff1d(groups, groups[is_lone])
    if len(eligible) < folds:
        raise DataError(
            f"found {len(eligible)} frames that are no near-duplicates of each other; expected {folds} or "
            "more for as many folds"
        )
    chosen = np.full(len(frames), -1)
    sizes = np.zeros(folds, dtype=int)
    for group in np.random.default_rng(seed).permutation(eligible):
        smallest = int(sizes.argmin())
        chosen[groups == group] = smallest
        sizes[smallest] += int((groups == group).sum())
    return chosen


def judge_folds(
    folds: Sequence[Mapping[str, Any]], errors: Mapping[str, Any], limits: CrossValidation
) -> GateResult:
    """Judge the errors that parts have by the potentials of the others.

    Args:
        folds: `errors.json` of each part.
        errors: That of the potential on all frames.
        limits: What is close enough.
    """
    of_parts = np.array([fold["forces"]["rmse"] for fold in folds])
    counts = np.array([fold["num_frames"] for fold in folds])
    together = float(np.sqrt(np.average(of_parts**2, weights=counts)))
    worst = int(of_parts.argmax())
    spread = Check(
        "worst part over all",
        float(of_parts[worst]) / together,
        "",
        limits.spread,
        f"the others foretell part {worst} badly, {_worst_subset(folds[worst])} worst: add frames like those",
    )
    overfit = Check(
        "parts over the potential itself",
        together / errors["forces"]["rmse"],
        "",
        limits.overfit,
        "unseen frames are foretold much worse than those that trained: add frames of every subset, or train "
        "a smaller model",
    )
    energies = [1000.0 * fold["energy"]["rmse"] for fold in folds if "energy" in fold]
    said = f", energies {np.mean(energies):.3g} meV/atom" if energies else ""
    method = f"{len(folds)} parts, force RMSE {1000 * together:.4g} meV/A together{said}"
    return GateResult("cross_validation", (spread, overfit), method, (_panel(of_parts, errors),))


def _worst_subset(fold: Mapping[str, Any]) -> str:
    subsets = {name: found["forces"]["rmse"] for name, found in fold["by_subset"].items()}
    return max(subsets, key=subsets.__getitem__)


def _panel(of_parts: NDArray[np.float64], errors: Mapping[str, Any]) -> Panel:
    return Panel(
        "cross validation",
        "part",
        "force RMSE (meV/A)",
        {"by the others": (np.arange(len(of_parts)), 1000.0 * of_parts)},
        dots=("by the others",),
        levels={"the potential itself": 1000.0 * errors["forces"]["rmse"]},
    )

"""Errors of a potential on labelled frames: overall, per subset and per species."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

UNITS = {"energy": "eV/atom", "forces": "eV/A", "stress": "eV/A^3"}


@dataclass(frozen=True)
class FrameErrors:
    """Labels and predictions of one frame.

    Attributes:
        subset: The frame's `config_type`.
        symbols: (N,) chemical symbols.
        energy: (2,) label and prediction, eV/atom; a label that is not there is NaN, here and below.
        forces: (2, N, 3) eV/A.
        stress: (2, 3, 3) eV/A^3, or None where there is no label.
        descriptors: (N, F) of the model, which the grade judges.
    """

    subset: str
    symbols: Sequence[str]
    energy: np.ndarray
    forces: np.ndarray
    stress: np.ndarray | None
    descriptors: np.ndarray


def whole_frames(frames: Sequence[FrameErrors]) -> list[FrameErrors]:
    """Frames with an energy, and so a force on every atom: those without a force mask."""
    return [frame for frame in frames if np.isfinite(frame.energy[0])]


def compute_errors(frames: Sequence[FrameErrors]) -> dict[str, Any]:
    """The content of `errors.json`: quantity -> {mae, rmse, max, unit}, then by subset and by species.

    Energies are per atom; forces and stresses count components.
    """
    subsets = sorted({frame.subset for frame in frames})
    species = sorted({symbol for frame in frames for symbol in np.array(frame.symbols)[_known(frame)]})
    return {
        **_summarise(frames),
        "by_subset": {name: _summarise_subset(frames, name) for name in subsets},
        "by_species": {
            str(name): {"forces": _summary(_forces_of(frames, name), "forces")} for name in species
        },
        "num_frames": len(frames),
    }


def _summarise(frames: Sequence[FrameErrors]) -> dict[str, dict[str, Any]]:
    summary = {"forces": _summary((f.forces[1] - f.forces[0] for f in frames), "forces")}
    if whole := whole_frames(frames):
        summary = {"energy": _summary((f.energy[1] - f.energy[0] for f in whole), "energy"), **summary}
    stresses = [f.stress[1] - f.stress[0] for f in frames if f.stress is not None]
    if stresses:
        summary["stress"] = _summary(stresses, "stress")
    return summary


def _summarise_subset(frames: Sequence[FrameErrors], name: str) -> dict[str, Any]:
    members = [frame for frame in frames if frame.subset == name]
    return {**_summarise(members), "num_frames": len(members)}


def _forces_of(frames: Sequence[FrameErrors], symbol: str) -> Iterable[np.ndarray]:
    for frame in frames:
        chosen = (np.asarray(frame.symbols) == symbol) & _known(frame)
        yield frame.forces[1][chosen] - frame.forces[0][chosen]


def _known(frame: FrameErrors) -> np.ndarray:
    """Which atoms (N,) have a force to compare with."""
    return np.isfinite(frame.forces[0]).all(axis=1)


def _summary(differences: Iterable[np.ndarray | float], quantity: str) -> dict[str, Any]:
    errors = np.concatenate([np.ravel(d) for d in differences])
    errors = errors[np.isfinite(errors)]
    return {
        "mae": float(np.abs(errors).mean()),
        "rmse": float(np.sqrt(np.square(errors).mean())),
        "max": float(np.abs(errors).max()),
        "unit": UNITS[quantity],
    }

"""One frame, one labeler: what runs in a worker, on this machine or on another one."""

import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.calculator import all_changes

from mlip.errors import MlipError
from mlip.labelers.labeler import Label, Labeler, frame_charge

_LONGEST_REASON = 300


@dataclass(frozen=True)
class Outcome:
    """What became of a frame.

    Attributes:
        label: Energy, forces and stress; None if it failed.
        reason: Why it failed; None if it did not.
        seconds: Wall time.
        cores: Cores that were held for it.
        program: What computed it, with its version.
        host: Where.
    """

    label: Label | None
    reason: str | None
    seconds: float
    cores: int
    program: str = ""
    host: str = ""

    @property
    def core_seconds(self) -> float:
        """What it cost."""
        return self.seconds * self.cores


def compute_outcome(labeler: Labeler, atoms: Atoms, folder: Path) -> Outcome:
    """Label one frame. It sets environment variables of its process.

    Args:
        labeler: What computes.
        atoms: The frame; its calculator and constraints are not looked at.
        folder: Where the program may write.

    Returns:
        A label, or the reason why there is none: programs fail on frames in every way, and one frame must not
        end the others.

    Raises:
        MlipError: Nothing can be labelled: the program or one of its files is missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    os.environ.update(labeler.environment())
    started = time.perf_counter()
    label, reason = None, None
    try:
        label = _compute_label(labeler, atoms, folder)
        reason = labeler.failure(folder) or _not_finite(label)
    except MlipError:
        raise
    except Exception as error:
        reason = labeler.failure(folder) or f"{type(error).__name__}: {error}"
    return Outcome(
        label=None if reason else label,
        reason=" ".join(reason.split())[:_LONGEST_REASON] if reason else None,
        seconds=time.perf_counter() - started,
        cores=labeler.cores,
        program=labeler.program(folder),
        host=platform.node(),
    )


def _compute_label(labeler: Labeler, atoms: Atoms, folder: Path) -> Label:
    bare = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    calculator = labeler.calculator(bare, frame_charge(atoms), folder)
    wanted = ["energy", "forces"]
    if bare.pbc.all() and "stress" in calculator.implemented_properties:
        wanted.append("stress")
    bare.calc = calculator
    try:
        calculator.calculate(bare, wanted, all_changes)
    finally:
        if hasattr(calculator, "close"):
            calculator.close()  # CP2K's shell would live on
    results = calculator.results
    return Label(
        # The derivative of the free energy is the force, not that of an energy without smearing.
        energy=float(results.get("free_energy", results["energy"])),
        forces=np.array(results["forces"], dtype=np.float64),
        stress=np.array(results["stress"], dtype=np.float64) if "stress" in wanted else None,
    )


def _not_finite(label: Label) -> str | None:
    for name in ("energy", "forces", "stress"):
        value = getattr(label, name)
        if value is not None and not np.isfinite(value).all():
            return f"found numbers that are not finite in its {name}"
    return None

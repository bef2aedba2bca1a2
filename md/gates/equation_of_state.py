"""The gate `equation_of_state`: E(V) of reference crystals, by the potential and by who labelled the data."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator

from md.energetics.equation_of_state import EquationOfState, fit_energies
from mlip.deploy.gates import Check, GateResult
from mlip.errors import DataError
from mlip.report.panels import Panel


@dataclass(frozen=True)
class CrystalLimits:
    """How close is close enough.

    Attributes:
        volume: Share by which the volume without pressure may differ.
        bulk_modulus: Share by which the bulk modulus may differ.
        energy_meV_atom: Root-mean-square difference of E(V), both from their mean.
    """

    volume: float = 0.02
    bulk_modulus: float = 0.2
    energy_meV_atom: float = 20.0


def group_crystals(frames: Sequence[Atoms]) -> dict[str, list[Atoms]]:
    """Frames of one crystal at several volumes, by formula; crystals of fewer than five are left out.

    Args:
        frames: With energies, as `mlip label` leaves those of builder=volumes.

    Raises:
        DataError: There is no crystal with five volumes.
    """
    crystals = defaultdict(list)
    for atoms in frames:
        crystals[atoms.get_chemical_formula("metal")].append(atoms)
    found = {
        name: sorted(members, key=lambda atoms: atoms.get_volume())
        for name, members in crystals.items()
        if len({round(atoms.get_volume(), 6) for atoms in members}) >= 5
    }
    if not found:
        raise DataError(
            f"found {len(frames)} frames without a crystal at five volumes or more; expected some, as "
            "mlip build builder=volumes makes and mlip label labels them"
        )
    return found


def check_equation_of_state(
    calculator: Calculator, crystals: Mapping[str, Sequence[Atoms]], limits: CrystalLimits
) -> GateResult:
    """Judge E(V) of some crystals.

    Args:
        calculator: The potential.
        crystals: Name to the frames of each, in the order of volume, with the energies that are right.
        limits: How close is close enough.

    Raises:
        DataError: The reference energies have no minimum among their volumes.
    """
    checks: list[Check] = []
    panels = []
    for name, frames in crystals.items():
        volumes = np.array([atoms.get_volume() for atoms in frames])
        theirs = np.array([atoms.get_potential_energy(force_consistent=True) for atoms in frames])
        mine = np.array([_energy(calculator, atoms) for atoms in frames])
        checks += _compare(name, len(frames[0]), volumes, mine, theirs, limits)
        panels.append(_panel(name, len(frames[0]), volumes, mine, theirs))
    method = "static energies, fits of Birch and Murnaghan"
    return GateResult("equation_of_state", tuple(checks), method, tuple(panels))


def _energy(calculator: Calculator, atoms: Atoms) -> float:
    copy = atoms.copy()
    copy.calc = calculator
    return float(copy.get_potential_energy(force_consistent=True))


def _compare(
    name: str,
    num_atoms: int,
    volumes: np.ndarray,
    mine: np.ndarray,
    theirs: np.ndarray,
    limits: CrystalLimits,
) -> list[Check]:
    reference, found = fit_energies(volumes, theirs), _fit_or_none(volumes, mine)
    bounds = f"[{volumes[0] / reference.volume_A3:.2f},{volumes[-1] / reference.volume_A3:.2f}]"
    advice = (
        f"E(V) of {name} is not that of the reference: add builder=volumes builder.relative_volumes={bounds} "
        f"of {name}, labelled with energy and stress"
    )
    if found is None:
        advice = f"E(V) of {name} has no minimum: add{advice.partition(': add')[2]}"
    off = (
        {}
        if found is None
        else {
            "volume": abs(found.volume_A3 / reference.volume_A3 - 1.0),
            "bulk modulus": abs(found.bulk_modulus_GPa / reference.bulk_modulus_GPa - 1.0),
        }
    )
    shape = 1000.0 * float(np.std((mine - theirs) / num_atoms))
    allowed = {"volume": limits.volume, "bulk modulus": limits.bulk_modulus}
    return [
        *(
            Check(f"{name} {what} off by", 100.0 * off.get(what, np.nan), "%", 100.0 * limit, advice)
            for what, limit in allowed.items()
        ),
        Check(f"{name} E(V) off by", shape, "meV/atom", limits.energy_meV_atom, advice),
    ]


def _fit_or_none(volumes: np.ndarray, energies: np.ndarray) -> EquationOfState | None:
    """None where these energies have no minimum: that is what the gate is to find, no error."""
    try:
        found = fit_energies(volumes, energies)
    except DataError:
        return None
    return found if volumes[0] <= found.volume_A3 <= volumes[-1] else None


def _panel(name: str, num_atoms: int, volumes: np.ndarray, mine: np.ndarray, theirs: np.ndarray) -> Panel:
    x = volumes / num_atoms
    lines = {
        label: (x, 1000.0 * (energies - energies[theirs.argmin()]) / num_atoms)
        for label, energies in (("reference", theirs), ("potential", mine))
    }
    return Panel(name, "volume (A$^3$/atom)", "energy (meV/atom)", lines, dots=("reference",))

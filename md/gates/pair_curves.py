"""The gate `pair_curves`: two atoms alone repel each other where no bond is that short, and without jumps.

Dynamics at high temperature visits distances that no training set has. A potential that attracts there lets
atoms fall into each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase.calculators.calculator import Calculator

from md.energetics.pair_curves import PairCurve, compute_pair_curves
from mlip.deploy.gates import Check, GateResult
from mlip.report.panels import Panel


@dataclass(frozen=True)
class PairLimits:
    """What the curve of a pair keeps.

    Attributes:
        repulsion_eV_A: The weakest force apart where no bond is that short.
        roughness_eV: Beyond, an energy may be so far off the smooth curve through its neighbors.
        distances_A: The shortest and the longest distance.
        step_A: From one distance to the next.
    """

    repulsion_eV_A: float = 0.1
    roughness_eV: float = 0.02
    distances_A: Sequence[float] = (0.5, 6.0)
    step_A: float = 0.05


def check_pair_curves(calculator: Calculator, species: Sequence[str], limits: PairLimits) -> GateResult:
    """Judge the curves of all pairs of species.

    Args:
        calculator: The potential.
        species: Chemical symbols that it knows.
        limits: What each curve keeps.

    Raises:
        ConfigError: The distances make no sense.
    """
    curves = compute_pair_curves(species, calculator, distances_A=limits.distances_A, step_A=limits.step_A)
    checks = [
        check
        for curve in curves
        for check in (_check_repulsion(curve, limits), _check_roughness(curve, limits))
    ]
    method = (
        f"{curves[0].method}; {limits.distances_A[0]:g} to {limits.distances_A[1]:g} A in steps of "
        f"{limits.step_A:g} A, repulsion below 0.7 of the sum of covalent radii, roughness beyond"
    )
    return GateResult("pair_curves", tuple(checks), method, tuple(map(_panel, curves)))


def _check_repulsion(curve: PairCurve, limits: PairLimits) -> Check:
    inside = curve.distances_A < curve.wall_A
    weakest = float(curve.forces_eV_A[inside].min(initial=np.inf))
    pair = "-".join(curve.pair)
    if curve.holes_A:
        found = f"{pair} repulsion has a hole at {curve.holes_A[0]:.1f} A"
    else:
        found = f"{pair} hardly repels below {curve.wall_A:.1f} A"
    advice = f"{found}: {_addition(curve)}, from 0.5 A on; or train with model.pair_potential=zbl"
    # without a distance inside the wall, as of hydrogen, nothing can be said against the pair
    value = weakest if inside.any() else limits.repulsion_eV_A
    return Check(f"{pair} weakest repulsion", value, "eV/A", limits.repulsion_eV_A, advice, at_least=True)


def _check_roughness(curve: PairCurve, limits: PairLimits) -> Check:
    pair = "-".join(curve.pair)
    advice = f"{pair} energy is not smooth, or its force no gradient of it: {_addition(curve)}"
    return Check(f"{pair} roughness", curve.roughness_eV, "eV", limits.roughness_eV, advice)


def _addition(curve: PairCurve) -> str:
    return f"add builder=pairs builder.species=[{','.join(dict.fromkeys(curve.pair))}]"


def _panel(curve: PairCurve) -> Panel:
    bottoms = curve.holes_A[:1]
    depths = np.interp(bottoms, curve.distances_A, curve.energies_eV)
    return Panel(
        "-".join(curve.pair),
        "distance (A)",
        "energy (eV, linear to 1)",
        {"": (curve.distances_A, curve.energies_eV)},
        marks=list(zip(bottoms, depths, strict=True)),
        is_wide=True,
    )

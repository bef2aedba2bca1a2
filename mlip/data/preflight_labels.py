"""Preflight checks of labels: missing, not finite, mixed settings, outliers, the sign of the stress."""

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from mlip.data.finding import Finding, list_frames
from mlip.data.labels import frame_labels
from mlip.data.read import keys_read
from mlip.data.twins import SAME_DISTANCE, Twins
from mlip.units import EV_PER_A3_IN_GPA

# Names under which files and labelers note with what a frame was computed.
_SETTINGS = (
    "level_of_theory",
    "theory",
    "functional",
    "xc",
    "method",
    "calculator",
    "labeler",
    "settings",
    "code",
    "encut",
    "cutoff",
)
_SAME_ENERGY_EV = 2e-3
_ENERGY_GAP_EV = 5.0
_LARGE_FORCE_EV_A = 50.0
# Times the largest force of all but the worst tenth of the frames.
_OUTLIER = 5.0
_STIFFNESS_GPA = 5.0


def check_missing_labels(frames: Sequence[Atoms]) -> Finding:
    """Count labels, and find frames without energy or forces."""
    labels = [frame_labels(atoms) for atoms in frames]
    keys = [("keys read", f"{key} ({count} frames)") for key, count in keys_read(frames).most_common()]
    present = {
        name: [getattr(label, name) is not None for label in labels]
        for name in ("energy", "forces", "stress")
    }
    counts = ", ".join(f"{name} on {sum(flags)}" for name, flags in present.items())
    errors = tuple(
        f"No {name} in {list_frames(np.flatnonzero(np.logical_not(present[name])))}; training "
        "needs energy and forces on every frame: label them or leave them out."
        for name in ("energy", "forces")
        if not all(present[name])
    )
    found = sum(present["stress"])
    solids = sum(bool(atoms.pbc.all()) for atoms in frames)
    masked = [label.force_mask for label in labels if label.force_mask is not None]
    if masked:
        text = f"{len(masked)} frames: the forces on {sum(mask.sum() for mask in masked)} of their "
        keys.append(("force mask", f"{text}{sum(map(len, masked))} atoms train, energy and stress do not"))
    if len(masked) == len(frames):
        errors += ("Every frame has a force mask; energies need frames without: add some.",)
    warning = f"Stress on {found} of {solids} periodic frames: the others do not train the pressure."
    return Finding((("labels", counts), *keys), (warning,) if 0 < found < solids else (), errors)


def check_finite_labels(frames: Sequence[Atoms]) -> Finding:
    """Find labels that are not numbers."""
    bad = []
    for index, atoms in enumerate(frames):
        labels = frame_labels(atoms)
        values = [value for value in (labels.energy, labels.forces, labels.stress) if value is not None]
        if not all(np.all(np.isfinite(value)) for value in values):
            bad.append(index)
    error = f"Energy, forces or stress are NaN or infinite in {list_frames(bad)}; leave these frames out."
    return Finding((("finite labels", f"{len(frames) - len(bad)} frames"),), errors=(error,) if bad else ())


def check_settings(frames: Sequence[Atoms], twins: Twins) -> Finding:
    """Find frames that were labelled with different settings, whose energies do not compare."""
    energies = Counter(key.energy for key in keys_read(frames).elements())
    errors = []
    if len(energies) > 1:
        found = " and ".join(f"'{key}' ({count} frames)" for key, count in energies.items())
        errors.append(
            f"Energies come from {found}; expected one kind, as force-consistent and extrapolated energies, "
            "or two levels of theory, do not compare: train on one of them."
        )
    for name in _SETTINGS:
        values = Counter(str(atoms.info[name]) for atoms in frames if name in atoms.info)
        if len(values) > 1:
            found = ", ".join(f"{value} ({count} frames)" for value, count in values.items())
            errors.append(f"Mixed settings, {name}: {found}; expected one: train on one of them.")
    errors += _contradictions(frames, twins) + _energy_levels(frames)
    return Finding((("settings", "mixed" if errors else "no contradiction found"),), errors=tuple(errors))


def check_energies(frames: Sequence[Atoms]) -> Finding:
    """Say over what range the energies lie."""
    energies = _energies_per_atom(frames)
    low, high = np.nanmin(energies), np.nanmax(energies)
    text = f"{low:.3f} to {high:.3f} eV/atom, median {np.nanmedian(energies):.3f}"
    return Finding((("energy", text),))


def check_forces(frames: Sequence[Atoms]) -> Finding:
    """Find atoms with absurdly large forces."""
    forces = [_trusted_forces(atoms) for atoms in frames]
    rms = np.sqrt(np.mean(np.concatenate(forces) ** 2))
    largest = np.array([np.linalg.norm(array, axis=1).max(initial=0.0) for array in forces])
    usual = float(np.quantile(largest, 0.9))
    limit = min(_LARGE_FORCE_EV_A, _OUTLIER * usual) if usual > 0.0 else _LARGE_FORCE_EV_A
    large = np.flatnonzero(largest > limit)
    text = (
        f"RMS component {rms:.3f} eV/A; largest |F| {largest.max():.3f}, below {usual:.3f} in 90 % of frames"
    )
    warning = f"Forces above {limit:.1f} eV/A in {list_frames(large)}: unconverged, or atoms too close?"
    return Finding((("forces", text),), warnings=(warning,) if len(large) else ())


def check_stress(frames: Sequence[Atoms]) -> Finding:
    """Say how large the stress is, and whether its sign fits: matter that is compressed pushes back."""
    labelled = [atoms for atoms in frames if frame_labels(atoms).stress is not None]
    if not labelled:
        return Finding((("stress", "none: the pressure of the potential is not trained, nor is NPT"),))
    stress = np.array([frame_labels(atoms).stress for atoms in labelled]) * EV_PER_A3_IN_GPA
    pressure = -np.trace(stress, axis1=1, axis2=2) / 3.0
    largest = np.abs(stress).max()
    text = f"pressure {pressure.min():.2f} to {pressure.max():.2f} GPa, largest component {largest:.2f} GPa"
    moduli = _bulk_moduli(labelled, pressure)
    stiffness = ", ".join(f"{name} {value:.0f}" for name, value in moduli.items())
    sign = f"-dP/dlnV (GPa): {stiffness}" if moduli else "no composition varies enough in volume to tell"
    wrong = [name for name, value in moduli.items() if value < -_STIFFNESS_GPA]
    error = (
        f"The stress looks flipped: pressure rises with volume in {', '.join(wrong)}; expected "
        "stress = (1/V) dE/dstrain (negative when compressed), virial = -V stress: change its sign."
    )
    return Finding((("stress", text), ("stress sign", sign)), errors=(error,) if wrong else ())


def _bulk_moduli(frames: Sequence[Atoms], pressure: NDArray[np.float64]) -> dict[str, float]:
    """Fit -dP/dlnV, GPa, per composition and kind where volume and pressure clearly go together."""
    members: dict[str, list[int]] = defaultdict(list)
    for index, atoms in enumerate(frames):
        kind = atoms.info.get("config_type", "")
        members[f"{atoms.get_chemical_formula(empirical=True)} {kind}".strip()].append(index)
    moduli = {}
    for name, indices in members.items():
        strain = np.log([frames[index].cell.volume / len(frames[index]) for index in indices])
        if len(indices) < 5 or np.ptp(strain) < 0.02:
            continue
        if abs(np.corrcoef(strain, pressure[indices])[0, 1]) > 0.8:
            moduli[name] = -float(np.polyfit(strain, pressure[indices], 1)[0])
    return moduli


def _contradictions(frames: Sequence[Atoms], twins: Twins) -> list[str]:
    """Find equal structures with unequal energies."""
    energies = _energies_per_atom(frames)
    same = twins.distance < SAME_DISTANCE
    first, second = twins.first[same], twins.second[same]
    differ = np.abs(energies[first] - energies[second])
    if not np.any(differ > _SAME_ENERGY_EV):
        return []
    worst = int(np.nanargmax(differ))
    return [
        f"Frames {first[worst]} and {second[worst]} are the same structure, but their energies differ by "
        f"{1000 * differ[worst]:.1f} meV/atom; expected one level of theory: train on one of them."
    ]


def _energy_levels(frames: Sequence[Atoms]) -> list[str]:
    """Find compositions whose energies fall into two levels that no structure can explain."""
    energies = _energies_per_atom(frames)
    members: dict[str, list[int]] = defaultdict(list)
    for index, atoms in enumerate(frames):
        if len(atoms) > 1 and np.isfinite(energies[index]):
            members[atoms.get_chemical_formula(empirical=True)].append(index)
    gaps = {
        formula: float(np.max(np.diff(np.sort(energies[indices]))))
        for formula, indices in members.items()
        if len(indices) > 1
    }
    return [
        f"The energies of {formula} fall into two levels {gap:.1f} eV/atom apart; expected one level of "
        "theory: train on one of them."
        for formula, gap in gaps.items()
        if gap > _ENERGY_GAP_EV
    ]


def _energies_per_atom(frames: Sequence[Atoms]) -> NDArray[np.float64]:
    """Collect energies per atom, eV, shape (frames,); NaN of frames with a force mask."""
    labels = [frame_labels(atoms) for atoms in frames]
    energies = [np.nan if label.force_mask is not None else label.energy for label in labels]
    return np.array(energies, dtype=np.float64) / [len(atoms) for atoms in frames]


def _trusted_forces(atoms: Atoms) -> NDArray[np.float64]:
    """Forces, without those that a mask leaves out."""
    labels = frame_labels(atoms)
    forces = np.asarray(labels.forces)
    return forces if labels.force_mask is None else forces[labels.force_mask]

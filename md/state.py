"""The state of a simulation at one step: all that is needed to go on from there.

A restart file is a plain npz written in one move, so that a kill leaves either the old file or the new one.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from zipfile import BadZipFile

import ase
import ase.units
import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from md.origin import given_origin
from mlip.data.neighbors import complete_cell
from mlip.errors import SimulationError
from mlip.units import AMU_A2_PER_FS2_IN_EV, BOLTZMANN_EV_PER_K
from mlip.whole_files import whole_file

FORMAT_VERSION = 1
_INTERNAL = "internal."
_GROUP = "group."


@dataclass(frozen=True)
class State:
    """Atoms, their motion, the clock and the integrator's own variables.

    Attributes:
        numbers: Atomic numbers, shape (N,).
        masses: shape (N,), amu.
        positions: Unwrapped, shape (N, 3), A: as integrated, continuous in time.
        velocities: shape (N, 3), A/fs.
        cell: Lattice vectors as rows, shape (3, 3), A.
        pbc: Periodic directions, shape (3,).
        stage: Index of the stage it belongs to.
        steps_done: Steps of that stage that are done.
        internals: Variables of thermostat, barostat and random numbers, by name; empty when a stage starts.
        groups: Atoms that stages treat apart: name to a mask of shape (N,).
        origin: Which part of the structure each atom came from (`md.origin`), shape (N,); (0,) if unknown.
    """

    numbers: NDArray[np.int64]
    masses: NDArray[np.float64]
    positions: NDArray[np.float64]
    velocities: NDArray[np.float64]
    cell: NDArray[np.float64]
    pbc: NDArray[np.bool_]
    stage: int = 0
    steps_done: int = 0
    internals: Mapping[str, NDArray] = field(default_factory=dict)
    groups: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    origin: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    @property
    def kinetic_energy(self) -> float:
        """Kinetic energy, eV."""
        twice = np.sum(self.masses[:, None] * self.velocities**2)
        return float(0.5 * AMU_A2_PER_FS2_IN_EV * twice)

    @property
    def volume(self) -> float:
        """Volume of the cell, A^3; NaN where a direction is open."""
        return float(abs(np.linalg.det(self.cell))) if self.pbc.all() else float("nan")

    def wrapped(
        self, atoms: NDArray[np.int64] | slice = slice(None)
    ) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
        """Positions inside the cell and the cells they were taken from.

        Args:
            atoms: Which atoms; by default all.

        Returns:
            Wrapped positions, shape (N, 3), A, and image flags, shape (N, 3): position + image @ cell gives
            the unwrapped one. Open directions are left alone, with image 0.
        """
        positions = self.positions[atoms]
        fractional = positions @ np.linalg.inv(complete_cell(self.cell, self.pbc))
        images = np.where(self.pbc, np.floor(fractional), 0.0)
        return positions - images @ self.cell, images.astype(np.int32)

    def scaled(self, volume: float) -> "State":
        """The same with a cell of this volume, A^3, of the same shape, and all atoms moved along."""
        factor = np.cbrt(volume / self.volume)
        return replace(self, positions=self.positions * factor, cell=self.cell * factor)

    def save(self, path: Path) -> None:
        """Write a restart file; a reader never sees half of it."""
        content = {each.name: getattr(self, each.name) for each in fields(self)}
        for prefix, name in ((_INTERNAL, "internals"), (_GROUP, "groups")):
            content |= {prefix + key: value for key, value in content.pop(name).items()}
        with whole_file(path) as temporary, temporary.open("wb") as stream:
            np.savez(stream, format_version=FORMAT_VERSION, **content)
            stream.flush()
            os.fsync(stream.fileno())

    @classmethod
    def load(cls, path: Path) -> "State":
        """Read a restart file.

        Raises:
            SimulationError: The file is unreadable or of another version.
        """
        try:
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                content = dict(file)
        except (OSError, ValueError, BadZipFile) as error:
            raise SimulationError(
                f"cannot read the restart file {path} ({error}); start anew with resume=never"
            ) from None
        if content.pop("format_version", None) != FORMAT_VERSION:
            raise SimulationError(f"{path} is no restart file of this version; start anew with resume=never")
        internals, groups = (
            {
                name.removeprefix(prefix): content.pop(name)
                for name in list(content)
                if name.startswith(prefix)
            }
            for prefix in (_INTERNAL, _GROUP)
        )
        stage, steps_done = int(content.pop("stage")), int(content.pop("steps_done"))
        return cls(**content, stage=stage, steps_done=steps_done, internals=internals, groups=groups)

    @classmethod
    def from_atoms(cls, atoms: Atoms) -> "State":
        """The state of a structure that has not moved yet, with the velocities it carries (zero if none)."""
        return cls(
            numbers=atoms.get_atomic_numbers().astype(np.int64),
            masses=atoms.get_masses(),
            positions=atoms.get_positions(),
            velocities=atoms.get_velocities() * ase.units.fs,
            cell=np.array(atoms.cell),
            pbc=np.array(atoms.pbc),
            origin=given_origin(atoms),
        )

    def to_atoms(self) -> Atoms:
        """The state as an ASE structure: wrapped positions, velocities, no calculator."""
        atoms = Atoms(
            self.numbers, positions=self.wrapped()[0], cell=self.cell, pbc=self.pbc, masses=self.masses
        )
        atoms.set_velocities(self.velocities / ase.units.fs)
        if len(self.origin):
            atoms.arrays["origin"] = self.origin.copy()
        return atoms


def draw_velocities(
    state: State, temperature_K: float, seed: int | Sequence[int], mobile: NDArray[np.bool_]
) -> State:
    """Give atoms Maxwell-Boltzmann velocities, without total momentum, at exactly this temperature.

    Args:
        state: The state whose velocities are replaced.
        temperature_K: Temperature over three degrees of freedom less than the mobile atoms have, K.
        seed: Seed of the random numbers, one number or several.
        mobile: Atoms that may move, shape (N,), at least two; the others get none.
    """
    normal = np.random.default_rng(seed).standard_normal(state.velocities.shape)
    moving = replace(state, velocities=mobile[:, None] * normal / np.sqrt(state.masses)[:, None])
    moving = remove_drift(moving, mobile)
    wanted = 0.5 * (3 * mobile.sum() - 3) * BOLTZMANN_EV_PER_K * temperature_K
    return replace(moving, velocities=moving.velocities * np.sqrt(wanted / moving.kinetic_energy))


def remove_drift(state: State, mobile: NDArray[np.bool_]) -> State:
    """Take the velocity of the centre of mass of the mobile atoms, shape (N,), away from them."""
    masses = mobile * state.masses
    drift = masses @ state.velocities / masses.sum()
    return replace(state, velocities=state.velocities - mobile[:, None] * drift)

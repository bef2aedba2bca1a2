"""LAMMPS commands for a stage, and the rotation into the frame where LAMMPS keeps its cells.

Units metal: A, ps, eV, bar. LAMMPS's constants are older than ours by parts in 10^8 to 10^6: masses,
temperatures and pressures are scaled on the way in, so that its eV and fs are those of every engine. It wants
a lower triangular cell: structures are rotated on the way in and back on the way out.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from md.protocols.stages import PlannedStage
from mlip.errors import ConfigError
from mlip.units import AMU_A2_PER_FS2_IN_EV, BOLTZMANN_EV_PER_K, EV_PER_A3_IN_GPA, FS_PER_PS

# `f_integrate` and the like would be lost if the name differed between a run and its restart.
INTEGRATOR = "integrate"
VIRIAL = "virial"
GRADE = "grade"
# Place in the vector of fix npt iso: eta[3], eta_dot[3], omega, omega_dot, etap[3] ...
FIRST_BAROSTAT_LINK = 8
# LAMMPS's constants of units metal (src/update.cpp): boltz, mvv2e, nktv2p.
_BOLTZMANN_EV_PER_K = 8.617343e-5
_AMU_A2_PER_PS2_IN_EV = 1.0364269e-4
BAR_PER_EV_A3 = 1.6021765e6
_KELVIN = BOLTZMANN_EV_PER_K / _BOLTZMANN_EV_PER_K
_AMU = AMU_A2_PER_FS2_IN_EV / FS_PER_PS**2 / _AMU_A2_PER_PS2_IN_EV
_GPA = BAR_PER_EV_A3 / EV_PER_A3_IN_GPA
_BAROSTATS = {
    "iso": "iso {p} {p} {tau}",
    "z": "z {p} {p} {tau}",
    # LAMMPS (22 Jul 2025) counts two degrees of freedom for the chain on a barostat with one: the area would
    # fluctuate as at twice the temperature. Without a chain its heat comes from the atoms, and is right.
    "xy": "x {p} {p} {tau} y {p} {p} {tau} couple xy pchain 0",
    "flexible": "tri {p} {p} {tau}",
}


@dataclass(frozen=True)
class Frame:
    """The rotation between our frame and that of LAMMPS.

    Attributes:
        rotation: Orthogonal, shape (3, 3): a row vector of ours times `rotation` is one of LAMMPS.
    """

    rotation: NDArray[np.float64]

    @classmethod
    def of_cell(cls, cell: NDArray[np.float64]) -> "Frame":
        """The rotation that makes a cell lower triangular with a positive diagonal.

        Raises:
            ConfigError: The lattice vectors are left-handed: no rotation does it.
        """
        if np.linalg.det(cell) <= 0:
            raise ConfigError(
                "found a left-handed cell; engine=lammps expects a right-handed one: swap two vectors"
            )
        rotation, upper = np.linalg.qr(cell.T)
        return cls(rotation * np.sign(np.diag(upper)))

    def to_lammps(self, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        """Rotate row vectors, shape (..., 3), into the frame of LAMMPS."""
        return vectors @ self.rotation

    def from_lammps(self, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        """Rotate row vectors, shape (..., 3), back into our frame."""
        return vectors @ self.rotation.T

    def tensor_from_lammps(self, tensor: NDArray[np.float64]) -> NDArray[np.float64]:
        """Rotate a tensor, shape (3, 3), back into our frame."""
        return self.rotation @ tensor @ self.rotation.T


def box_commands(cell: NDArray[np.float64], masses: list[float]) -> list[str]:
    """Commands that make an empty box with one atom type a mass.

    Args:
        cell: Lower triangular lattice vectors, shape (3, 3), A.
        masses: Mass of each type, amu.
    """
    (lx, _, _), (xy, ly, _), (xz, yz, lz) = cell.tolist()
    return [
        f"region cell prism 0 {lx!r} 0 {ly!r} 0 {lz!r} {xy!r} {xz!r} {yz!r} units box",
        f"create_box {len(masses)} cell",
        *(f"mass {index} {mass * _AMU!r}" for index, mass in enumerate(masses, start=1)),
    ]


def box_change(cell: NDArray[np.float64]) -> str:
    """The command that gives the box of `box_commands` another shape; arguments as there."""
    (lx, _, _), (xy, ly, _), (xz, yz, lz) = cell.tolist()
    lengths = f"x final 0 {lx!r} y final 0 {ly!r} z final 0 {lz!r}"
    return f"change_box all {lengths} xy final {xy!r} xz final {xz!r} yz final {yz!r} units box"


def setup_commands() -> list[str]:
    """Commands before there is a box: units, and an order of atoms that never changes."""
    return ["units metal", "atom_style atomic", "newton off", "atom_modify map yes sort 0 0.0"]


def stage_commands(stage: PlannedStage, steps_done: int, seed: int, is_graded: bool = False) -> list[str]:
    """Commands that choose time step, outputs and integrator of a stage.

    Args:
        stage: The stage.
        steps_done: Steps of it that are done when LAMMPS starts.
        seed: For Langevin; above zero.
        is_graded: Whether the extrapolation grade is watched. It stands among the outputs so that LAMMPS
            announces it, and no evaluation is made for it alone.
    """
    outputs = ["step", "pe", "econserve", *(f"c_{VIRIAL}[{i}]" for i in range(1, 7))]
    computes = [f"compute {VIRIAL} all pressure NULL virial"]
    if is_graded:
        computes += [f"compute {GRADE} all vitreous/grade", f"compute {GRADE}_max all reduce max c_{GRADE}"]
        outputs.append(f"c_{GRADE}_max")
    return [
        f"timestep {stage.stage.timestep_fs / FS_PER_PS!r}",
        "neigh_modify every 1 delay 0 check yes",
        *computes,
        f"thermo_style custom {' '.join(outputs)}",
        *_integrator_commands(stage, steps_done, seed),
    ]


def _integrator_commands(stage: PlannedStage, steps_done: int, seed: int) -> list[str]:
    user = stage.stage
    start_K, end_K, now_K = stage.start_K, stage.end_K, stage.temperature_K(steps_done)
    if user.ensemble == "nve" or start_K is None or end_K is None or now_K is None:
        return [f"fix {INTEGRATOR} all nve"]
    thermal = f"{start_K * _KELVIN!r} {end_K * _KELVIN!r} {user.tdamp_fs / FS_PER_PS!r}"
    if user.ensemble == "nvt" and user.thermostat == "langevin":
        return [f"fix {INTEGRATOR} all nve", f"fix friction all langevin {thermal} {seed} tally yes"]
    if user.ensemble == "nvt" and user.thermostat == "velocity_rescaling":
        return [f"fix {INTEGRATOR} all nve", f"fix rescaling all temp/csvr {thermal} {seed}"]
    if user.ensemble == "nvt":
        return [f"fix {INTEGRATOR} all nvt temp {thermal}"]
    # LAMMPS sets the barostat's mass, kT tau^2, when it starts; inside a ramp it must stay what it was
    tau_ps = user.pdamp_fs / FS_PER_PS * math.sqrt(start_K / now_K)
    barostat = _BAROSTATS[user.barostat].format(p=user.pressure_GPa * _GPA, tau=tau_ps)
    return [f"fix {INTEGRATOR} all npt temp {thermal} {barostat} flip no"]


def run_command(stage: PlannedStage, num_steps: int, is_first: bool) -> str:
    """Run steps of a stage; `start` and `stop` let a ramp span many runs and restarts."""
    setup = "" if is_first else "pre no "
    return (
        f"run {num_steps} {setup}post no start {stage.start_step} stop {stage.start_step + stage.num_steps}"
    )

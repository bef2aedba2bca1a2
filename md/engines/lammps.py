"""Dynamics by LAMMPS, in this process or over MPI ranks: the stages with its integrators and pair styles.

Runs are cut into pieces by `run N pre no`, which neither repeats forces nor rebuilds lists, so that pieces
make no difference. A checkpoint carries LAMMPS's own binary restart. Going on from it is exact up to the
order of sums; the random numbers of Langevin start a new sequence.
"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

from md.engines.base import OneByOne
from md.engines.lammps_input import (
    BAR_PER_EV_A3,
    FIRST_BAROSTAT_LINK,
    GRADE,
    INTEGRATOR,
    VIRIAL,
    Frame,
    box_change,
    box_commands,
    run_command,
    setup_commands,
    stage_commands,
)
from md.protocols.stages import PlannedStage
from md.state import State
from md.thermo import Observation
from mlip.errors import ConfigError, SimulationError
from mlip.units import BOLTZMANN_EV_PER_K, FS_PER_PS

if TYPE_CHECKING:
    from lammps import lammps

    from mlip.deploy import MLIPCalculator
    from mlip.native.lammps_ranks import RankedLammps

# Given the arguments of `lmp`, starts LAMMPS.
OpenLammps = Callable[[Sequence[str]], "lammps | RankedLammps"]

_ARGUMENTS = ("-log", "none", "-screen", "none", "-nocite")
_RESTART, _IMAGES, _ROTATION = "lammps_restart", "images", "rotation"


class LammpsEngine:
    """Moves atoms by LAMMPS."""

    def __init__(
        self, open_lammps: OpenLammps, pair_commands: Sequence[str], seed: int = 0, is_graded: bool = False
    ) -> None:
        """Prepare; LAMMPS starts with the first stage.

        Args:
            open_lammps: Starts LAMMPS.
            pair_commands: `pair_style` and `pair_coeff`; atom types are the elements by atomic number.
            seed: Seed of the run, for Langevin.
            is_graded: Whether the pair style knows an extrapolation grade.
        """
        self._open = open_lammps
        self._pair_commands = tuple(pair_commands)
        self._seed, self._is_graded = seed, is_graded
        self._lammps: lammps | RankedLammps | None = None
        self._stage: PlannedStage
        self._start: State
        self._steps_done = 0
        self._frame: Frame
        self._images: NDArray[np.int32]

    def begin(self, stage: PlannedStage, state: State) -> None:
        """Start a stage from a state, or go on inside it if the state has `internals`.

        Raises:
            ConfigError: The structure is not periodic in three directions, or its cell is left-handed.
            SimulationError: LAMMPS refuses the structure or the potential.
        """
        if not state.pbc.all():
            raise ConfigError(
                "found open directions; engine=lammps expects a structure periodic in three directions"
            )
        self._stage, self._start, self._steps_done = stage, state, state.steps_done
        if self._lammps is None:
            self._lammps = self._open(_ARGUMENTS)
        else:
            self._command("clear")  # the ranks stay: they take seconds to start
        if state.internals:
            self._restore(state)
        else:
            self._build(state)
        # a seed of its own for each stage and each session of it, above zero as LAMMPS asks
        seed = 1 + (self._seed * 1_000_003 + stage.start_step + state.steps_done) % 900_000_000
        self._command(
            *self._pair_commands,
            *stage_commands(stage, state.steps_done, seed, self._is_graded),
            run_command(stage, 0, is_first=True),
        )

    def advance(self, num_steps: int) -> None:
        """Integrate this many steps; the target temperature follows the stage's ramp.

        Raises:
            SimulationError: LAMMPS stopped (lost atoms, coordinates that are not numbers).
        """
        self._command(run_command(self._stage, num_steps, is_first=False))
        self._steps_done += num_steps

    def state(self) -> State:
        """The present state, without the integrator's variables."""
        cell = self._cell()
        low = np.array(self._running.extract_box()[0])
        images = self._gather("image", 0) + self._images
        positions = self._gather("x", 1) - low + images @ cell
        return replace(
            self._start,
            positions=self._frame.from_lammps(positions),
            velocities=self._frame.from_lammps(self._gather("v", 1)) / FS_PER_PS,
            cell=self._frame.from_lammps(cell),
            steps_done=self._steps_done,
            internals={},
        )

    def checkpoint(self) -> State:
        """The present state with all that `begin` needs to go on from here."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "restart"
            # noinit: a checkpoint must not move atoms between cells under the feet of `run pre no`
            self._command(f"write_restart {file} noinit")
            restart = np.frombuffer(file.read_bytes(), dtype=np.uint8)
        internals: dict[str, NDArray] = {
            _RESTART: restart,
            _IMAGES: self._images,
            _ROTATION: self._frame.rotation,
        }
        return replace(self.state(), internals=internals)

    def observe(self) -> Observation:
        """Energies and stress of the present step."""
        pressure = self._running.numpy.extract_compute(VIRIAL, 0, 1)
        stress = -pressure[[0, 3, 4, 3, 1, 5, 4, 5, 2]].reshape(3, 3) / BAR_PER_EV_A3
        return Observation(
            potential_eV=self._running.get_thermo("pe"),
            conserved_eV=self._conserved_energy(),
            stress=self._frame.tensor_from_lammps(stress),
            grades=np.array(self._running.gather(f"c_{GRADE}", 1, 1)) if self._is_graded else None,
        )

    def place(self, state: State) -> None:
        """Put the atoms of the stage that has begun elsewhere, at rest, and ask for their forces.

        Args:
            state: Where they are and in which cell.

        Raises:
            SimulationError: LAMMPS refuses the structure.
        """
        self._frame = Frame.of_cell(state.cell)
        positions, self._images = state.wrapped()
        _, types = np.unique(state.numbers, return_inverse=True)
        # new atoms, for each is then on the rank where it belongs, however far it went
        self._command("delete_atoms group all compress no", box_change(self._frame.to_lammps(state.cell)))
        self._create_atoms(types, positions, np.zeros_like(positions))
        self._command(run_command(self._stage, 0, is_first=True))

    def forces(self) -> NDArray[np.float64]:
        """Forces of the present step, shape (N, 3), eV/A."""
        return self._frame.from_lammps(self._gather("f", 1))

    def close(self) -> None:
        """End LAMMPS and its ranks."""
        if self._lammps is not None:
            self._lammps.close()
            self._lammps = None

    def _conserved_energy(self) -> float:
        """LAMMPS's conserved energy, eV; for an isotropic barostat, mended.

        There LAMMPS (22 Jul 2025) counts three degrees of freedom for the chain on the barostat, which
        thermalises one: 2 kT eta_1 too much. Without it the sum is constant to the order of the integrator.
        """
        energy = self._running.get_thermo("econserve")
        user, target_K = self._stage.stage, self._stage.temperature_K(self._steps_done)
        if user.ensemble != "npt" or user.barostat != "iso" or target_K is None:
            return energy
        first_link = self._running.extract_fix(INTEGRATOR, 0, 1, FIRST_BAROSTAT_LINK)
        return energy - 2.0 * BOLTZMANN_EV_PER_K * target_K * first_link

    @property
    def _running(self) -> "lammps | RankedLammps":
        if self._lammps is None:
            raise SimulationError("LAMMPS is not running; expected a stage to have begun")
        return self._lammps

    def _build(self, state: State) -> None:
        """Make box and atoms; the images that atoms are in at the start are kept on our side."""
        self._frame = Frame.of_cell(state.cell)
        positions, self._images = state.wrapped()
        species, types = np.unique(state.numbers, return_inverse=True)
        masses = [float(state.masses[types == index].mean()) for index in range(len(species))]
        self._command(*setup_commands(), *box_commands(self._frame.to_lammps(state.cell), masses))
        self._create_atoms(types, positions, state.velocities)
        self._command(f"reset_timestep {self._stage.start_step}")

    def _create_atoms(
        self, types: NDArray[np.int64], positions: NDArray[np.float64], velocities: NDArray[np.float64]
    ) -> None:
        """Put atoms into the empty box: types from zero, positions wrapped, in our frame and units."""
        count = len(types)
        created = self._running.create_atoms(
            count,
            list(range(1, count + 1)),
            (types + 1).tolist(),
            self._frame.to_lammps(positions).ravel().tolist(),
            v=(self._frame.to_lammps(velocities) * FS_PER_PS).ravel().tolist(),
        )
        if created != count:
            raise SimulationError(f"LAMMPS took {created} of {count} atoms; expected all: wrap the structure")

    def _restore(self, state: State) -> None:
        self._frame = Frame(state.internals[_ROTATION])
        self._images = state.internals[_IMAGES]
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "restart"
            file.write_bytes(state.internals[_RESTART].tobytes())
            self._command(f"read_restart {file}")

    def _cell(self) -> NDArray[np.float64]:
        """Lattice vectors in the frame of LAMMPS, shape (3, 3), A."""
        low, high, xy, yz, xz, *_ = self._running.extract_box()
        lx, ly, lz = np.subtract(high, low)
        return np.array([[lx, 0.0, 0.0], [xy, ly, 0.0], [xz, yz, lz]])

    def _gather(self, name: str, kind: int) -> NDArray:
        """A quantity of all atoms, in our order, shape (N, 3); kind 0 is int, 1 is float."""
        return np.array(self._running.gather_atoms(name, kind, 3)).reshape(-1, 3)

    def _command(self, *commands: str) -> None:
        for command in commands:
            try:
                self._running.command(command)
            except Exception as error:  # LAMMPS's Python module raises Exception itself
                step = self._stage.start_step + self._steps_done
                message = " ".join(str(error).split())
                raise SimulationError(f"LAMMPS stopped after step {step} at `{command}`: {message}") from None


class LammpsForces:
    """Forces of LAMMPS, for relaxations."""

    def __init__(self, engine: LammpsEngine) -> None:
        """Take the LAMMPS of an engine of dynamics, whose stages do not run meanwhile."""
        self._engine = engine
        self._state: State

    def begin(self, stage: PlannedStage, state: State) -> None:
        """Take these atoms."""
        self._state = replace(state, internals={})
        self._engine.begin(stage, self._state)

    def evaluate(
        self, positions: NDArray[np.float64], cell: NDArray[np.float64]
    ) -> tuple[float, NDArray[np.float64], NDArray[np.float64] | None]:
        """Energy, forces and stress, as of `Forces`."""
        self._engine.place(replace(self._state, positions=positions, cell=cell))
        observed = self._engine.observe()
        return observed.potential_eV, self._engine.forces(), observed.stress


@dataclass(frozen=True)
class LammpsBackend:
    """`engine=lammps`: the potential as `pair_style vitreous`.

    Attributes:
        ranks: MPI ranks on this machine; with one, LAMMPS runs inside this process.
    """

    batches: ClassVar[bool] = False
    features: ClassVar[frozenset[str]] = frozenset()
    ranks: int = 1

    def __post_init__(self) -> None:
        if self.ranks < 1:
            raise ConfigError(f"found engine.ranks={self.ranks}; expected 1 or more")

    def open(
        self, calculator: "MLIPCalculator", states: Sequence[State], seed: int, run_dir: Path
    ) -> OneByOne:
        """Make the engine that moves atoms with this potential; a `.mlip` is deployed into `run_dir`."""
        from md.engines.relaxation import WithRelaxation  # torch
        from mlip.native.lammps_library import open_lammps  # LAMMPS only where it is asked for
        from mlip.native.lammps_ranks import RankedLammps

        is_graded = calculator.grade_thresholds is not None
        file = _deployed_file(calculator, run_dir, is_graded)
        start = open_lammps if self.ranks == 1 else partial(RankedLammps, self.ranks)
        style = f"pair_style vitreous device {calculator.device} kernel {calculator.kernel}"

        def open_engine(system: int) -> WithRelaxation:
            numbers = np.unique(states[system].numbers)
            elements = " ".join(chemical_symbols[number] for number in numbers)
            commands = [style, f"pair_coeff * * {file} {elements}"]
            engine = LammpsEngine(start, commands, seed + system, is_graded)
            return WithRelaxation(engine, LammpsForces(engine))

        return OneByOne(open_engine)


def _deployed_file(calculator: "MLIPCalculator", run_dir: Path, is_graded: bool) -> Path:
    """The file for the pair style; a `.mlip` is deployed once a run directory."""
    from mlip.deploy import deploy_potential
    from mlip.deploy.torchscript import SUFFIX

    if calculator.path.suffix != ".mlip":
        return calculator.path
    file = run_dir / f"{calculator.path.stem}{'_graded' if is_graded else ''}{SUFFIX}"
    if file.exists():
        return file
    return deploy_potential(
        calculator.path, file, str(calculator.device), calculator.dtype, is_graded, calculator.radial
    )

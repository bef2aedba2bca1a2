"""The search for a minimum-energy path between two minima: ends, band, climbing image, one after the other.

A search that is killed goes on from its last checkpoint: a `State` of all images, one after the other, whose
`stage` is the part it is in.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from tqdm import tqdm

from md.energetics.band import Band, Ends
from md.energetics.ends import INTERPOLATIONS, fixed_atoms, interpolate, match_ends, require_distinct
from md.energetics.images import Evaluate
from md.engines.interrupts import postponed_interrupt
from md.engines.loop import CHECKPOINT_INTERVAL_S
from md.engines.relaxation import Forces, RelaxationEngine
from md.protocols.relaxation import Relaxation
from md.protocols.stages import plan_stages
from md.state import State
from md.thermo import Residual
from mlip.errors import ConfigError

logger = logging.getLogger(__name__)

# An image climbs in the right direction once the band lies about where the path is.
CLIMB_BELOW_EV_A = 0.1
_ENDS, _BAND, _CLIMB = range(3)


@dataclass(frozen=True)
class NebSettings:
    """How a path is searched.

    Attributes:
        images: How many stand between the ends.
        relax_ends: Whether the ends are taken to their minima first.
        interpolation: First guess of the path, `idpp` or `linear`.
        climb: Whether the highest image climbs to the saddle point at last.
        spring_eV_A2: Stiffness of the springs between images.
        force_tolerance_eV_A: Largest force on an atom, of the ends and of the band, when all is done.
        max_steps: Of each part: ends, band, climbing image.
    """

    images: int = 5
    relax_ends: bool = True
    interpolation: str = "idpp"
    climb: bool = True
    spring_eV_A2: float = 0.1
    force_tolerance_eV_A: float = 0.03
    max_steps: int = 500

    def __post_init__(self) -> None:
        for key in ("images", "max_steps", "spring_eV_A2", "force_tolerance_eV_A"):
            if getattr(self, key) <= 0:
                raise ConfigError(f"found {key}={getattr(self, key)}; expected a number above zero")
        if self.interpolation not in INTERPOLATIONS:
            raise ConfigError(
                f"found interpolation={self.interpolation}; expected one of {', '.join(INTERPOLATIONS)}"
            )


@dataclass(frozen=True)
class EnergyPath:
    """A path as the search left it.

    Attributes:
        atoms: Species, cell and periodic directions.
        positions: (M, N, 3) A, continuous along the path, ends included.
        energies: (M,) eV.
        forces: (M, N, 3) of the potential, eV/A.
        residual_eV_A: The largest force left on the band.
        is_converged: The force is within the tolerance, on the ends, too, if they were relaxed.
        climbed: Whether an image climbed.
    """

    atoms: Atoms
    positions: NDArray[np.float64]
    energies: NDArray[np.float64]
    forces: NDArray[np.float64]
    residual_eV_A: float
    is_converged: bool
    climbed: bool


class PathSearch:
    """Takes two structures to a path between them."""

    def __init__(
        self,
        initial: Atoms,
        final: Atoms,
        settings: NebSettings,
        open_images: Callable[[int], Evaluate],
        restart: Path,
    ) -> None:
        """Look at the ends.

        Args:
            initial: One end; atoms that it fixes stay.
            final: The other: the same atoms in the same order and cell.
            settings: How to search.
            open_images: Given a number of images, what evaluates so many at once.
            restart: The checkpoint.

        Raises:
            DataError: The ends do not belong together.
        """
        self._initial, self._final = initial, match_ends(initial, final)
        self._settings, self._open, self._restart = settings, open_images, restart
        self._fixed = fixed_atoms(initial)
        loose = max(settings.force_tolerance_eV_A, CLIMB_BELOW_EV_A if settings.climb else 0.0)
        tolerances = {"ends": settings.force_tolerance_eV_A, "band": loose}
        if settings.climb:
            tolerances["climbing image"] = settings.force_tolerance_eV_A
        self._parts = plan_stages(
            [
                Relaxation(
                    name=name, force_tolerance_eV_A=tolerance, max_steps=settings.max_steps, every_steps=1
                )
                for name, tolerance in tolerances.items()
            ]
        )

    def run(self, state: State | None = None) -> EnergyPath:
        """Search, or go on from a checkpoint.

        Raises:
            DataError: Both ends are one structure.
            KeyboardInterrupt: Asked for while it ran; all that was done is in the checkpoint.
        """
        if state is None or state.stage == _ENDS:
            state = self._start_band(self._relax_ends(state))
        band = self._open_band(climbs=state.stage == _CLIMB)
        state, left = self._descend(band, state)
        if self._settings.climb and state.stage == _BAND:
            band = self._open_band(climbs=True)
            state, left = self._descend(band, replace(state, stage=_CLIMB, steps_done=0, internals={}))
        ends_are_good = self._ends_are_minima(band)
        return EnergyPath(
            atoms=self._initial,
            positions=state.positions.reshape(band.forces.shape),
            energies=band.energies,
            forces=band.forces,
            residual_eV_A=left.force_eV_A,
            is_converged=left.is_converged and ends_are_good,
            climbed=self._settings.climb,
        )

    def _ends_are_minima(self, band: Band) -> bool:
        """Whether the ends are as good as asked; says so where they are not."""
        forces = band.forces[[0, -1]][:, ~self._fixed]
        largest = float(np.linalg.norm(forces, axis=2).max(initial=0.0))
        if largest <= self._settings.force_tolerance_eV_A:
            return True
        logger.warning(
            "an end is no minimum, an atom of it feels %.2g eV/A: expected at most %g, as barriers are "
            "counted from there; relax_ends=true relaxes both",
            largest,
            self._settings.force_tolerance_eV_A,
        )
        return not self._settings.relax_ends

    def _relax_ends(self, state: State | None) -> NDArray[np.float64]:
        """Positions of both ends, shape (2, N, 3), A."""
        ends = np.array([self._initial.positions, self._final.positions])
        if self._settings.relax_ends:
            forces = Ends(self._open(2), self._fixed)
            state, _ = self._descend(forces, state or self._state(ends, _ENDS))
            ends = state.positions.reshape(ends.shape)
        return ends

    def _start_band(self, ends: NDArray[np.float64]) -> State:
        initial, final = self._initial.copy(), self._final.copy()
        initial.positions, final.positions = ends
        require_distinct(ends[0], ends[1], self._initial.get_chemical_symbols())
        positions = interpolate(initial, final, self._settings.images, self._settings.interpolation)
        return self._state(positions, _BAND)

    def _state(self, positions: NDArray[np.float64], part: int) -> State:
        """All images as one set of atoms."""
        one = State.from_atoms(self._initial)
        count = len(positions)
        return replace(
            one,
            numbers=np.tile(one.numbers, count),
            masses=np.tile(one.masses, count),
            positions=positions.reshape(-1, 3),
            velocities=np.zeros((count * len(one.numbers), 3)),
            stage=part,
        )

    def _open_band(self, climbs: bool) -> Band:
        count = self._settings.images
        return Band(
            self._open(2),
            self._open(count),
            self._initial,
            count + 2,
            self._settings.spring_eV_A2,
            climbs,
            self._fixed,
        )

    def _descend(self, forces: Forces, state: State) -> tuple[State, Residual]:
        """Take one part to its end and leave a checkpoint."""
        part = self._parts[state.stage]
        engine = RelaxationEngine(forces)
        engine.begin(part, state)
        left, saved_at = engine.residual, time.monotonic()
        name = part.stage.name
        bar = tqdm(total=part.num_steps, initial=left.steps, unit="step", desc=name, disable=None)
        with bar, postponed_interrupt() as interrupt:
            while not left.is_converged and left.steps < part.num_steps:
                engine.advance(1)
                left = engine.residual
                bar.set_postfix_str(f"{left.force_eV_A:.2g} eV/A", refresh=False)
                bar.update()
                if interrupt.asked or time.monotonic() - saved_at > CHECKPOINT_INTERVAL_S:
                    engine.checkpoint().save(self._restart)
                    saved_at = time.monotonic()
                if interrupt.asked:
                    raise KeyboardInterrupt
        state = engine.checkpoint()
        state.save(self._restart)
        say = logger.info if left.is_converged else logger.warning
        what = "done in" if left.is_converged else "not converged in"
        say("%s %s %d steps: largest force %.2g eV/A", name, what, left.steps, left.force_eV_A)
        return state, left

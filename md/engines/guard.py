"""What one system is compared with on its way: how it started, and where its energy was.

`safety` looks at a state alone; here are the signs that only a comparison shows.
"""

import numpy as np

from md.engines.grade_watch import GradeLimits, require_known_atoms
from md.engines.safety import REMEDY, check_state
from md.engines.vacuum import widest_gaps
from md.protocols.stages import PlannedStage
from md.state import State
from md.thermo import Observation
from mlip.errors import SimulationError
from mlip.units import BOLTZMANN_EV_PER_K

# A gap that was not there at the start and is wider by this much, A: no bond reaches across.
VACUUM_A = 5.0
# Lengths twice or half of those at the start, and the structure is another one.
_LARGEST_SWELLING = 8.0
# What integrators keep may wander by this from check to check. A thermostat takes heat away, so an explosion
# need not show in the temperature; rounding and the time step change it by some meV an atom.
_ENERGY_JUMP_EV = 1.0
_ENERGY_JUMP_EV_PER_ATOM = 0.1
# On a ramp it also changes by k times the change of the target times positions of thermostats, which are some
# units for each degree of freedom.
_POSITION_OF_THERMOSTATS = 30.0


class Guard:
    """Watches one system."""

    def __init__(self, start: State, hottest_K: float, limits: GradeLimits) -> None:
        """Look at the start.

        Args:
            start: The structure that the run started from.
            hottest_K: Highest target temperature of the protocol, K.
            limits: Of the extrapolation grade.
        """
        self._hottest_K, self._limits = hottest_K, limits
        self._volume, self._gaps = start.volume, widest_gaps(start)
        self._conserved_eV = np.nan

    def expect(self, state: State, stage: PlannedStage, observation: Observation) -> None:
        """Look at a state that a stage begins or goes on with: its conserved energy is that to come.

        Raises:
            SimulationError: The potential knows too little of an atom.
        """
        self._conserved_eV = observation.conserved_eV
        require_known_atoms(state, stage, observation, self._limits)

    def check(self, state: State, before: State, stage: PlannedStage, observation: Observation) -> None:
        """Raise if the system left the physical regime, or what the potential knows.

        Args:
            state: The state to check.
            before: The last state known to be good.
            stage: The stage it belongs to.
            observation: Of the state.

        Raises:
            SimulationError: Names the steps, and the atoms where there are some to blame.
        """
        where = stage.between(before.steps_done, state.steps_done)
        check_state(state, stage, self._hottest_K, where)
        self._check_energy(state, before, stage, observation, where)
        self._check_room(state, where)
        require_known_atoms(state, stage, observation, self._limits)
        self._conserved_eV = observation.conserved_eV

    def _check_energy(
        self, state: State, before: State, stage: PlannedStage, observation: Observation, where: str
    ) -> None:
        if not np.isfinite(observation.potential_eV):
            raise SimulationError(
                f"the potential energy became {observation.potential_eV} {where}; expected a number: {REMEDY}"
            )
        targets = stage.temperature_K(before.steps_done), stage.temperature_K(state.steps_done)
        change_K = 0.0 if None in targets else abs(targets[1] - targets[0])  # type: ignore[operator]
        per_atom = _ENERGY_JUMP_EV_PER_ATOM + _POSITION_OF_THERMOSTATS * BOLTZMANN_EV_PER_K * change_K
        limit = _ENERGY_JUMP_EV + per_atom * len(state.numbers)
        jump = observation.conserved_eV - self._conserved_eV
        if abs(jump) > limit:  # NaN, where an integrator keeps nothing, is not
            raise SimulationError(
                f"the conserved energy changed by {jump:.3g} eV {where}; expected less than {limit:.3g} eV "
                f"for {len(state.numbers)} atoms: {REMEDY}"
            )

    def _check_room(self, state: State, where: str) -> None:
        gaps = widest_gaps(state)
        is_new = (self._gaps < VACUUM_A) & (gaps > self._gaps + VACUUM_A)
        if is_new.any():
            axis = int(np.argmax(is_new))
            raise SimulationError(
                f"a vacuum of {gaps[axis]:.1f} A opened along lattice vector {axis} {where} "
                f"({self._gaps[axis]:.1f} A at the start); expected dense matter: a higher pressure_GPa, a "
                "lower temperature_K or a potential trained on such densities may help"
            )
        swelling = state.volume / self._volume
        if swelling > _LARGEST_SWELLING or swelling < 1.0 / _LARGEST_SWELLING:
            raise SimulationError(
                f"the volume became {swelling:.3g} times that at the start {where}; expected between "
                f"{1.0 / _LARGEST_SWELLING:g} and {_LARGEST_SWELLING:g}: {REMEDY}, or a longer pdamp_fs"
            )

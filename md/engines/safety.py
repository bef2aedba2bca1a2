"""Signs that a simulation left, or cannot enter, the physical regime: it stops there, not an hour later."""

import numpy as np

from md.protocols.stages import PlannedStage
from md.state import State
from md.thermo import temperature_K
from mlip.data.neighbors import neighbor_list
from mlip.errors import ConfigError, SimulationError
from mlip.units import AMU_A2_PER_FS2_IN_EV, BOLTZMANN_EV_PER_K

SHORTEST_DISTANCE_A = 0.5
# Looking this far takes a tenth of the time: the search has cells of this size, not many more than atoms.
_SEARCHED_A = 2.0
_LARGEST_LEAN = 1e-6
# A run may get this much hotter than the hottest target of its protocol before it counts as exploded.
_TEMPERATURE_FACTOR = 5.0
_TEMPERATURE_MARGIN_K = 2000.0
# One atom that explodes among very many is not seen in the temperature. Of a million atoms none has 50 kT;
# what it may get from a start that is badly packed comes on top.
_HOT_ATOM_KT, _HOT_ATOM_EV = 50.0, 20.0
REMEDY = "a shorter timestep_fs, or a potential trained on structures like this one, may help"


def check_state(state: State, stage: PlannedStage, hottest_K: float, where: str) -> None:
    """Raise if atoms are lost, too hot or on top of each other.

    Args:
        state: The state to check.
        stage: The stage it belongs to.
        hottest_K: Highest target temperature of the protocol, K.
        where: Between which steps it came to be, for the message.

    Raises:
        SimulationError: Names the step and the atoms.
    """
    _check_finite(state, where)
    limit_K = _TEMPERATURE_FACTOR * hottest_K + _TEMPERATURE_MARGIN_K
    if temperature_K(state, stage) > limit_K:
        fastest = int(np.argmax(state.masses * np.sum(state.velocities**2, axis=1)))
        raise SimulationError(
            f"it got {temperature_K(state, stage):.0f} K hot {where}, fastest atom {fastest}; "
            f"expected less than {limit_K:.0f} K: {REMEDY}"
        )
    kinetic = 0.5 * AMU_A2_PER_FS2_IN_EV * state.masses * np.sum(state.velocities**2, axis=1)
    fastest, limit_eV = int(np.argmax(kinetic)), _HOT_ATOM_KT * BOLTZMANN_EV_PER_K * hottest_K + _HOT_ATOM_EV
    if kinetic[fastest] > limit_eV:
        raise SimulationError(
            f"atom {fastest} got a kinetic energy of {kinetic[fastest]:.1f} eV {where}; expected less than "
            f"{limit_eV:.1f} eV: {REMEDY}"
        )
    require_no_overlap(state, where)


def require_no_overlap(state: State, where: str = "in the structure to start from") -> None:
    """Raise if two atoms are closer than 0.5 A.

    Raises:
        SimulationError: Names the closest pair.
    """
    positions = state.wrapped()[0]
    (centre, neighbor), edge_shift = neighbor_list(positions, state.cell, state.pbc, _SEARCHED_A)
    if len(centre) == 0:
        return
    vectors = positions[neighbor] - positions[centre] + edge_shift @ state.cell
    distances = np.linalg.norm(vectors, axis=1)
    closest = int(np.argmin(distances))
    if distances[closest] >= SHORTEST_DISTANCE_A:
        return
    raise SimulationError(
        f"atoms {centre[closest]} and {neighbor[closest]} are {distances[closest]:.3f} A apart {where}; "
        f"expected more than {SHORTEST_DISTANCE_A} A: mend the structure, or train on short distances"
    )


def require_barostat_fits(stage: PlannedStage, state: State) -> None:
    """Refuse `z` and `xy` where the third vector leans: fixing or stretching it alone would shear the cell.

    Raises:
        ConfigError: The third lattice vector is not normal to the other two, or a relaxation is to change the
            cell of an open structure.
    """
    user = stage.stage
    if stage.is_relaxation and stage.barostat and not state.pbc.all():
        raise ConfigError(
            f"stage {user.name} relaxes the cell ({stage.barostat}) of a structure that is not periodic in "
            "three directions; expected one that is, or barostat: null"
        )
    if stage.barostat not in ("z", "xy") or not state.pbc.all():
        return
    lengths = np.linalg.norm(state.cell, axis=1)
    if np.abs(state.cell[:2] @ state.cell[2] / (lengths[:2] * lengths[2])).max() > _LARGEST_LEAN:
        raise ConfigError(
            f"stage {user.name} asks barostat={user.barostat} for a cell whose third vector leans over; "
            "expected it normal to the other two, or barostat=iso or flexible"
        )


def _check_finite(state: State, where: str) -> None:
    finite = np.isfinite(state.positions).all(axis=1) & np.isfinite(state.velocities).all(axis=1)
    if not finite.all() or not np.isfinite(state.cell).all():
        atoms = np.flatnonzero(~finite)[:5].tolist()
        raise SimulationError(
            f"positions became NaN {where}, atoms {atoms}; expected finite numbers: {REMEDY}"
        )

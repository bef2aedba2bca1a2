"""Signs that a simulation left, or cannot enter, the physical regime: it stops there, not an hour later."""

import numpy as np

from md.protocols.stages import PlannedStage
from md.state import State
from md.thermo import temperature_K
from mlip.data.neighbors import neighbor_list
from mlip.errors import ConfigError, SimulationError

SHORTEST_DISTANCE_A = 0.5
_LARGEST_LEAN = 1e-6
# A run may get this much hotter than the hottest target of its protocol before it counts as exploded.
_TEMPERATURE_FACTOR = 5.0
_TEMPERATURE_MARGIN_K = 2000.0
_REMEDY = "a shorter timestep_fs, or a potential trained on structures like this one, may help"


def check_state(state: State, before: State, stage: PlannedStage, hottest_K: float) -> None:
    """Raise if atoms are lost, too hot or on top of each other.

    Args:
        state: The state to check.
        before: The last state known to be good.
        stage: The stage it belongs to.
        hottest_K: Highest target temperature of the protocol, K.

    Raises:
        SimulationError: Names the step and the atoms.
    """
    step = stage.start_step + state.steps_done
    since = stage.start_step + before.steps_done
    where = f"between steps {since} and {step} (stage {stage.stage.name})"
    _check_finite(state, where)
    limit_K = _TEMPERATURE_FACTOR * hottest_K + _TEMPERATURE_MARGIN_K
    if temperature_K(state, stage) > limit_K:
        fastest = int(np.argmax(state.masses * np.sum(state.velocities**2, axis=1)))
        raise SimulationError(
            f"it got {temperature_K(state, stage):.0f} K hot {where}, fastest atom {fastest}; "
            f"expected less than {limit_K:.0f} K: {_REMEDY}"
        )
    require_no_overlap(state, where)


def require_no_overlap(state: State, where: str = "in the structure to start from") -> None:
    """Raise if two atoms are closer than 0.5 A.

    Raises:
        SimulationError: Names the closest pair.
    """
    edge_index, edge_shift = neighbor_list(state.wrapped()[0], state.cell, state.pbc, SHORTEST_DISTANCE_A)
    if edge_index.shape[1] == 0:
        return
    centre, neighbor = edge_index
    positions = state.wrapped()[0]
    vectors = positions[neighbor] - positions[centre] + edge_shift @ state.cell
    distances = np.linalg.norm(vectors, axis=1)
    closest = int(np.argmin(distances))
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
            f"positions became NaN {where}, atoms {atoms}; expected finite numbers: {_REMEDY}"
        )

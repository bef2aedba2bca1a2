"""Groups of atoms that a stage treats apart: frozen, tethered, or alone in touch with the thermostat."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ase.data import atomic_numbers
from numpy.typing import NDArray

from md.protocols.stages import PlannedStage
from md.state import State
from mlip.errors import ConfigError
from mlip.settings import suggest

_AXES = ("x", "y", "z")
_KEYS = ("species", *_AXES, "indices")


def select_groups(groups: Mapping[str, Mapping[str, Any]], state: State) -> dict[str, NDArray[np.bool_]]:
    """Find the atoms of each group in the structure that a run starts from; there they stay.

    Args:
        groups: Name of each group to what its atoms have in common, all of it: `species` (a list), `x`, `y`,
            `z` ([from, to] in A of the wrapped positions; null for an open end), `indices` (from zero).
        state: The structure.

    Returns:
        Name to (N,) whether an atom belongs to it.

    Raises:
        ConfigError: A condition makes no sense, or nothing meets it.
    """
    return {name: _select(name, conditions, state) for name, conditions in groups.items()}


def require_groups(stages: Sequence[PlannedStage], groups: Mapping[str, Any]) -> None:
    """Refuse stages with names of groups that there are not.

    Raises:
        ConfigError: Names the stage and the group.
    """
    for stage in stages:
        for name in sorted(stage.stage.groups - set(groups)):
            known = suggest(name, tuple(groups)) if groups else f"define it: groups.{name}={{z: [0, 5]}}"
            raise ConfigError(f"stage {stage.stage.name} speaks of a group {name} that is not there; {known}")


def mobile_atoms(state: State, stage: PlannedStage) -> NDArray[np.bool_]:
    """Atoms that a stage does not freeze, (N,)."""
    return ~_members(state, stage.stage.frozen)


def thermostatted_atoms(state: State, stage: PlannedStage) -> NDArray[np.bool_]:
    """Atoms that the thermostat of a stage touches, (N,)."""
    mobile = mobile_atoms(state, stage)
    names = stage.stage.thermostat_groups
    return mobile & _members(state, names) if names else mobile


def degrees_of_freedom(state: State, stage: PlannedStage) -> int:
    """How many move: three for each mobile atom, less those of a total momentum that is conserved at zero."""
    return 3 * int(mobile_atoms(state, stage).sum()) - stage.degrees_of_freedom_removed


def _members(state: State, names: Sequence[str]) -> NDArray[np.bool_]:
    found = np.zeros(len(state.numbers), dtype=bool)
    for name in names:
        found |= state.groups[name]
    return found


def _select(name: str, conditions: Mapping[str, Any], state: State) -> NDArray[np.bool_]:
    if not isinstance(conditions, Mapping) or not conditions:
        raise ConfigError(f"found groups.{name}={conditions}; expected a mapping with {', '.join(_KEYS)}")
    chosen = np.ones(len(state.numbers), dtype=bool)
    for key, value in conditions.items():
        if key == "species":
            chosen &= np.isin(state.numbers, _numbers(name, value))
        elif key in _AXES:
            low, high = _interval(name, key, value)
            coordinate = state.wrapped()[0][:, _AXES.index(key)]
            chosen &= (coordinate >= low) & (coordinate < high)
        elif key == "indices":
            chosen &= _listed(name, value, len(chosen))
        else:
            raise ConfigError(f"found groups.{name}.{key}; {suggest(key, _KEYS)}")
    if not chosen.any():
        raise ConfigError(f"found no atom in group {name} ({dict(conditions)}); expected at least one")
    return chosen


def _numbers(name: str, value: Any) -> list[int]:
    symbols = [value] if isinstance(value, str) else value
    if not isinstance(symbols, Sequence) or not all(each in atomic_numbers for each in symbols):
        raise ConfigError(f"found groups.{name}.species={value}; expected chemical symbols, such as [Li]")
    return [atomic_numbers[each] for each in symbols]


def _interval(name: str, key: str, value: Any) -> tuple[float, float]:
    is_pair = isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 2
    if not is_pair or not all(each is None or isinstance(each, int | float) for each in value):
        raise ConfigError(
            f"found groups.{name}.{key}={value}; expected [from, to] in A, null for an open end"
        )
    low, high = value
    return (-np.inf if low is None else low), (np.inf if high is None else high)


def _listed(name: str, value: Any, count: int) -> NDArray[np.bool_]:
    is_list = isinstance(value, Sequence) and all(isinstance(each, int) for each in value)
    if not is_list or not all(0 <= each < count for each in value):
        raise ConfigError(
            f"found groups.{name}.indices={value}; expected a list of whole numbers from 0 to {count - 1}"
        )
    listed = np.zeros(count, dtype=bool)
    listed[list(value)] = True
    return listed

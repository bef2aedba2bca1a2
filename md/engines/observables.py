"""Observables of an interface written along a run: observables.csv, a row for each stored frame."""

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from ase.data import chemical_symbols

from md.analysis.crossings import count_crossings, find_metal_region
from md.analysis.reduction import compute_reduction
from md.origin import METAL
from md.protocols.stages import PlannedStage
from md.state import State
from mlip.data.neighbors import complete_cell
from mlip.errors import ConfigError, DataError

# Columns and values of a state.
Observer = Callable[[State], Mapping[str, float]]


def _reduction(start: State) -> Observer:
    """Share of the electrons that thiophosphate can take up and has."""

    def observe(state: State) -> Mapping[str, float]:
        return {"reduction": compute_reduction(_fractional(state), state.cell, state.numbers)}

    observe(start)  # refused now, not at the first frame
    return observe


def _flux(start: State) -> Observer:
    """Net number of atoms of each species that went from the metal into the compound."""
    if len(start.origin) == 0:
        raise DataError("found no origin of the atoms; expected metal (1) and compound (0)")
    begun = _fractional(start)
    region = find_metal_region(begun, start.origin == METAL)
    species = {chemical_symbols[number]: start.numbers == number for number in np.unique(start.numbers)}

    def observe(state: State) -> Mapping[str, float]:
        now = _fractional(state)
        return {
            f"crossed_{symbol}": count_crossings(region, begun[chosen], now[chosen])
            for symbol, chosen in species.items()
        }

    return observe


OBSERVERS: Mapping[str, Callable[[State], Observer]] = {"reduction": _reduction, "flux": _flux}


class ObservablesTable:
    """Appends rows to observables.csv; each row is flushed. Without observables there is no file."""

    def __init__(self, path: Path, stages: Sequence[PlannedStage], start: State) -> None:
        """Open the table.

        Args:
            path: Of the file; rows of an earlier session are kept.
            stages: All stages of the protocol.
            start: The structure that the run started from, which crossings are counted from.

        Raises:
            ConfigError: A stage observes what this structure has not.
        """
        names = dict.fromkeys(name for stage in stages for name in stage.stage.observe)
        try:
            self._observers = {name: OBSERVERS[name](start) for name in names}
        except DataError as error:
            raise ConfigError(f"the protocol observes {', '.join(names)}: {error}") from None
        self._columns = [key for observe in self._observers.values() for key in observe(start)]
        if not names:
            return
        is_new = not path.exists() or path.stat().st_size == 0
        self._stream = path.open("a", newline="")
        self._writer = csv.writer(self._stream, lineterminator="\n")
        if is_new:
            self._writer.writerow(["step", "time_ps", *self._columns])

    def append(self, state: State, stage: PlannedStage) -> None:
        """Write a row, if the stage observes anything; what it does not observe is NaN."""
        if not stage.stage.observe:
            return
        found: dict[str, float] = {}
        for name in stage.stage.observe:
            found.update(self._observers[name](state))
        values = [f"{found.get(column, math.nan):.10g}" for column in self._columns]
        step, time_ps = stage.start_step + state.steps_done, stage.time_ps(state.steps_done)
        self._writer.writerow([step, f"{time_ps:.10g}", *values])
        self._stream.flush()

    def close(self) -> None:
        """Close the table."""
        if self._observers:
            self._stream.close()


def _fractional(state: State) -> np.ndarray:
    return state.positions @ np.linalg.inv(complete_cell(state.cell, state.pbc))

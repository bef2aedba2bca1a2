"""The volume that the stages of a search found, from their rows of thermo.csv: the same after any restart."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from md.energetics.equation_of_state import fit_pressures
from md.protocols.stages import PlannedStage

logger = logging.getLogger(__name__)


def find_volume(thermo: Path, stages: Sequence[PlannedStage], search: str, pressure_GPa: float) -> float:
    """Fit the mean pressures of a search.

    Args:
        thermo: The table of the run.
        stages: All stages of the protocol.
        search: Name of the search.
        pressure_GPa: What the pressure shall be.

    Returns:
        Volume, A^3.

    Raises:
        DataError: No equation of state fits, or the pressure is reached at no volume that was searched.
    """
    table = np.atleast_1d(np.genfromtxt(thermo, delimiter=",", names=True))
    volumes, pressures = [], []
    for stage in (each for each in stages if each.stage.search == search):
        first, last = stage.start_step, stage.start_step + stage.num_steps
        rows = table[(table["step"] > first) & (table["step"] <= last)]
        volumes.append(rows["volume_A3"].mean())
        pressures.append(rows["pressure_GPa"].mean())
        logger.info("%s: %.5g A^3, %.3g GPa", stage.stage.name, volumes[-1], pressures[-1])
    found = fit_pressures(volumes, pressures)
    volume = found.volume_at(pressure_GPa)
    logger.info(
        "%s: %.5g A^3 at %g GPa; equation of state V0 = %.5g +- %.2g A^3, B0 = %.3g GPa, B0' = %.2g",
        search,
        volume,
        pressure_GPa,
        found.volume_A3,
        found.volume_error_A3,
        found.bulk_modulus_GPa,
        found.bulk_modulus_slope,
    )
    return volume

"""The thermostats and barostats of a batch: those that its stages ask for, with the numbers of every system.

A system that another one couples has an infinite relaxation time there, or no mode: it is left alone.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from md.engines.base import Place
from md.engines.torch.barostat import Barostat
from md.engines.torch.cell_rescaling import CellRescaling
from md.engines.torch.thermostats import Langevin, NoseHooverChains, VelocityRescaling
from md.groups import degrees_of_freedom, thermostatted_atoms
from md.protocols.stages import THERMOSTATS, PlannedStage
from mlip.units import BOLTZMANN_EV_PER_K, EV_PER_A3_IN_GPA


def thermostats_of(
    places: Sequence[Place], timestep_fs: Tensor, barostat: Barostat | None
) -> tuple[NoseHooverChains | None, VelocityRescaling | None, Langevin | None]:
    """The thermostats of these stages, at rest; None where no system has one.

    Args:
        places: Stage and state of each system.
        timestep_fs: (S,) fs.
        barostat: Whose cells have chains, too.
    """
    kinds = [_thermostat(place.stage) for place in places]
    held = [int(thermostatted_atoms(place.state, place.stage).sum()) for place in places]
    removed = [place.stage.degrees_of_freedom_removed for place in places]
    counts = timestep_fs.new_tensor([3.0 * n - r for n, r in zip(held, removed, strict=True)])

    def relaxation(kind: str) -> Tensor:
        times = [
            p.stage.stage.tdamp_fs if k == kind else torch.inf for p, k in zip(places, kinds, strict=True)
        ]
        return timestep_fs.new_tensor(times)

    chained, rescaled, bathed = map(relaxation, THERMOSTATS)
    chains = None
    if THERMOSTATS[0] in kinds:
        all_counts, all_times = [counts], [chained]
        if barostat is not None:
            all_counts.append(barostat.degrees_of_freedom)
            all_times.append(barostat.relaxation_fs)
        chains = NoseHooverChains(torch.stack(all_counts, dim=1), torch.stack(all_times, dim=1), timestep_fs)
    rescaling = VelocityRescaling(counts, rescaled, timestep_fs) if THERMOSTATS[1] in kinds else None
    return chains, rescaling, Langevin(bathed, timestep_fs) if THERMOSTATS[2] in kinds else None


def barostats_of(
    places: Sequence[Place], cell: Tensor, timestep_fs: Tensor
) -> tuple[Barostat | None, CellRescaling | None]:
    """The barostats of these stages, at rest; None where no system has one.

    Args:
        places: Stage and state of each system.
        cell: (S, 3, 3) the cells that their axes are those of, A.
        timestep_fs: (S,) fs.
    """
    stages, numbers = [place.stage for place in places], timestep_fs.new_tensor
    pressure = numbers([each.stage.pressure_GPa / EV_PER_A3_IN_GPA for each in stages])
    relaxation = numbers([each.stage.pdamp_fs for each in stages])
    chained = [_barostat_mode(each, "nose_hoover_chain") for each in stages]
    rescaled = [_barostat_mode(each, "velocity_rescaling") for each in stages]
    barostat = cell_rescaling = None
    if any(chained):
        kT = BOLTZMANN_EV_PER_K * numbers([each.start_K or 1.0 for each in stages])
        counts = numbers([degrees_of_freedom(place.state, place.stage) for place in places])
        barostat = Barostat(chained, cell, pressure, relaxation, kT, counts, timestep_fs)
    if any(rescaled):
        removed = numbers([each.degrees_of_freedom_removed for each in stages])
        cell_rescaling = CellRescaling(rescaled, cell, pressure, relaxation, removed, timestep_fs)
    return barostat, cell_rescaling


def _thermostat(stage: PlannedStage) -> str | None:
    is_held = stage.stage.ensemble != "nve" and stage.start_K is not None
    return stage.stage.thermostat if is_held else None


def _barostat_mode(stage: PlannedStage, thermostat: str) -> str | None:
    is_meant = stage.stage.ensemble == "npt" and stage.stage.thermostat == thermostat
    return stage.stage.barostat if is_meant else None

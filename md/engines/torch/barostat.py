"""Martyna-Tobias-Klein barostats of many systems at once, whatever part of the cell may change.

The cell follows dh/dt = h W with a symmetric W, the strain rate. Which W a mode allows is a projection: `iso`
keeps the trace, `z` and `xy` parts of the diagonal, `flexible` all. One mass serves all modes: on the volume
it is that of the isotropic barostat, (n + 3) kT tau^2.

Source: Martyna, Tobias & Klein 1994 (10.1063/1.467468); steps of Martyna et al. 1996
(10.1080/00268979600100761) and, for the whole cell, Yu et al. 2010 (10.1016/j.chemphys.2010.02.014).
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from md.engines.torch.strains import allowed_strains, column, projected
from md.engines.torch.systems import Systems

# Terms of the series of the exponential: a step changes a cell by less than 1e-2, and 1e-2^6 / 6! is nothing.
_TERMS = 6


class Barostat:
    """A strain rate for each system, driven by what its pressure is off.

    Attributes:
        strain_rate: (S, 3, 3) W, 1/fs.
        allowed: (S, 9, 9) projectors onto the strain rates of the modes, from the cells of the start.
        degrees_of_freedom: (S,) of the cell; one where there is no barostat.
        relaxation_fs: (S,) infinite where there is no barostat.
    """

    def __init__(
        self,
        modes: Sequence[str | None],
        cells: Tensor,
        pressure: Tensor,
        relaxation_fs: Tensor,
        thermal_energy: Tensor,
        degrees_of_freedom: Tensor,
        timestep_fs: Tensor,
    ) -> None:
        """Barostats at rest.

        Args:
            modes: What may change of each system, None for nothing.
            cells: (S, 3, 3) A.
            pressure: (S,) targets, eV/A^3.
            relaxation_fs: (S,).
            thermal_energy: (S,) kT that the masses are made with, eV.
            degrees_of_freedom: (S,) of the atoms.
            timestep_fs: (S,).
        """
        self._pressure, self._timestep, self._counts = pressure, timestep_fs, degrees_of_freedom
        self._mass = (degrees_of_freedom + 3.0) * thermal_energy * relaxation_fs.square() / 3.0
        projectors = [allowed_strains(*each) for each in zip(modes, cells.cpu().numpy(), strict=True)]
        self.allowed = torch.stack(projectors).to(pressure)
        count = self.allowed.diagonal(dim1=1, dim2=2).sum(1)
        self._is_there = count > 0.5
        self.degrees_of_freedom = count.clamp_min(1.0)
        self.relaxation_fs = relaxation_fs.where(self._is_there, torch.inf)
        self.strain_rate = torch.zeros(len(modes), 3, 3, dtype=pressure.dtype, device=pressure.device)
        self._kick: tuple[Tensor, Tensor]
        self._drift: tuple[Tensor, Tensor]

    def half_step(self, systems: Systems) -> None:
        """Change the strain rates by half a time step of the present pressure."""
        kinetic = systems.kinetic_tensor()
        thermal = kinetic.diagonal(dim1=1, dim2=2).sum(1) / self._counts
        held = self._pressure * systems.volumes
        push = kinetic + systems.virials + _times_unit(thermal - held)
        allowed = projected(push, self.allowed)
        self.strain_rate = self.strain_rate + column(0.5 * self._timestep / self._mass) * allowed

    def scale(self, factors: Tensor) -> None:
        """Multiply the strain rates by factors (S,)."""
        self.strain_rate = self.strain_rate * column(factors)

    def plan(self, kick_fs: Tensor, drift_fs: Tensor) -> None:
        """Find what kicks and drifts do at the present strain rate.

        Args:
            kick_fs: (S,) how long each kick is.
            drift_fs: (S,) how long each drift is.
        """
        trace = self.strain_rate.diagonal(dim1=1, dim2=2).sum(1)
        against = -self.strain_rate - _times_unit(trace / self._counts)
        times = column(torch.cat([kick_fs, drift_fs]))
        grown, integral = _exponential(torch.cat([against, self.strain_rate]) * times)
        kick, drift = zip(grown.chunk(2), (integral * times).chunk(2), strict=True)
        self._kick, self._drift = kick, drift

    def kick(self, systems: Systems) -> None:
        """Change velocities for the time planned, by forces and by the strain rate."""
        grown, integral = self._kick
        pushed = systems.turned(systems.forces / systems.masses, integral)
        systems.velocities = systems.turned(systems.velocities, grown) + pushed

    def drift(self, systems: Systems) -> None:
        """Move positions and cells for the time planned."""
        grown, integral = self._drift
        moved = systems.turned(systems.velocities, integral)
        systems.positions = systems.turned(systems.positions, grown) + moved
        systems.cell = torch.bmm(systems.cell, grown)

    def energy(self, systems: Systems) -> Tensor:
        """(S,) P V and kinetic energy of the cell, eV; zero without a barostat."""
        held = self._pressure * systems.volumes + 0.5 * self.twice_kinetic()
        return held.where(self._is_there, 0.0)

    def twice_kinetic(self) -> Tensor:
        """(S,) twice the kinetic energy of the cell, eV."""
        return self._mass * self.strain_rate.square().sum((1, 2))


def _exponential(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """e^X and (e^X - 1) / X of small matrices (S, 3, 3), by their series: nothing that a GPU waits for."""
    unit = torch.eye(3, dtype=matrix.dtype, device=matrix.device)
    integral = unit
    for term in range(_TERMS, 1, -1):
        integral = unit + torch.matmul(matrix, integral) / term
    return unit + torch.matmul(matrix, integral), integral


def _times_unit(of_systems: Tensor) -> Tensor:
    return column(of_systems) * torch.eye(3, dtype=of_systems.dtype, device=of_systems.device)

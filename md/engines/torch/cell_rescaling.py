"""Stochastic cell rescaling of many systems at once: a barostat without inertia, for melts and for starts.

The logarithm e of the stretch of each group of directions moves as

    de = beta / tau (P + n kT / V - P0) dt + sqrt(2 beta kT / (tau V)) dW

with the pressure P along the group, its kinetic part included, and n = 1 where the centre of mass stands
still (its kT / V is missing in P). Positions and cell are multiplied by the stretch; velocities are divided.

Source: Bernetti & Bussi 2020 (10.1063/5.0020514), written for e, where the derivative of the diffusion
constant (noise of Ito's kind) takes away what the measure of the volume brings.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from md.engines.torch.noise import normal
from md.engines.torch.strains import GROUPS, cell_axes
from md.engines.torch.systems import Systems
from mlip.units import EV_PER_A3_IN_GPA

# 1 / (20 GPa), about that of sulphide glasses; only its quotient with the relaxation time counts.
COMPRESSIBILITY = EV_PER_A3_IN_GPA / 20.0


class CellRescaling:
    """Moves cells by chance and by what their pressures are off.

    Attributes:
        axes: (S, 3, 3) directions of the cells at the start, as rows; groups of them are stretched.
        work: (S,) what the moves have brought so far, eV: the energy, with P0 V, less the work is conserved.
    """

    def __init__(
        self,
        modes: Sequence[str | None],
        cells: Tensor,
        pressure: Tensor,
        relaxation_fs: Tensor,
        missing: Tensor,
        timestep_fs: Tensor,
    ) -> None:
        """Barostats.

        Args:
            modes: What may change of each system, None for nothing.
            cells: (S, 3, 3) A.
            pressure: (S,) targets, eV/A^3.
            relaxation_fs: (S,) of the volume of a body of `COMPRESSIBILITY`.
            missing: (S,) degrees of freedom that momentum conservation takes away, 3 or 0.
            timestep_fs: (S,).
        """
        self.axes = torch.stack([torch.from_numpy(cell_axes(cell)) for cell in cells.cpu().numpy()]).to(
            pressure
        )
        self._members = torch.stack([_members(mode) for mode in modes]).to(pressure)
        self._pressure, self._timestep = pressure, timestep_fs
        self._counts = self._members.sum(2)
        self._rate = COMPRESSIBILITY / relaxation_fs
        self._missing = missing / 3.0
        self.work = torch.zeros_like(pressure)
        self._forward = torch.zeros_like(pressure)
        self._moved = torch.zeros_like(self._counts)

    def move(self, systems: Systems, thermal_energy: Tensor, key: Tensor) -> None:
        """Stretch the cells for a time step, by the virials of before it.

        Args:
            systems: Whose cells, positions and velocities change.
            thermal_energy: (S,) kT, eV.
            key: (S,) of this step's noise.
        """
        mean, variance = self._drift(systems, thermal_energy)
        is_there = self._counts > 0.0
        self._moved = (mean + variance.sqrt() * normal(key, 3)).where(is_there, 0.0)
        self._forward = self._log_probability(self._moved, mean, variance)
        logs = torch.bmm((self._moved / self._counts.clamp_min(1.0)).unsqueeze(1), self._members).squeeze(1)
        stretch, shrink = self._along_axes(logs.exp()), self._along_axes((-logs).exp())
        systems.positions = systems.turned(systems.positions, stretch)
        systems.velocities = systems.turned(systems.velocities, shrink)
        systems.cell = torch.bmm(systems.cell, stretch)

    def settle(self, systems: Systems, thermal_energy: Tensor) -> None:
        """Count the work of the last move, with the virials of after it and the velocities not yet kicked.

        It is kT times the logarithm of the chance of the move over that of the move back, and what the
        measure of the volume takes: were it a Monte Carlo move, it would be accepted with exp(-dH / kT).
        """
        mean, variance = self._drift(systems, thermal_energy)
        backward = self._log_probability(-self._moved, mean, variance)
        measure = (1.0 + self._missing) * self._moved.sum(1)
        self.work = self.work - thermal_energy * (self._forward - backward - measure)

    def energy(self, systems: Systems) -> Tensor:
        """(S,) what belongs to the conserved energy, eV: P0 V less the work; zero without a barostat."""
        held = self._pressure * systems.volumes
        return held.where(self._counts.sum(1) > 0.0, 0.0) - self.work

    def _drift(self, systems: Systems, thermal_energy: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of the next move of each group, (S, 3)."""
        volumes = systems.volumes.unsqueeze(1)
        tensor = systems.kinetic_tensor() + systems.virials
        diagonal = (torch.bmm(self.axes, tensor) * self.axes).sum(2, keepdim=True)
        along = torch.bmm(self._members, diagonal).squeeze(2)
        thermal = (self._missing * thermal_energy).unsqueeze(1)
        excess = (along / self._counts.clamp_min(1.0) + thermal) / volumes - self._pressure.unsqueeze(1)
        rate = (self._rate * self._timestep).unsqueeze(1)
        variance = 2.0 * rate * thermal_energy.unsqueeze(1) / volumes
        return rate * excess, variance.expand_as(excess)

    def _along_axes(self, factors: Tensor) -> Tensor:
        """(S, 3, 3) matrices that multiply by factors (S, 3) along the axes."""
        return torch.bmm(self.axes.mT * factors.unsqueeze(1), self.axes)

    def _log_probability(self, moved: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
        """(S,) of a move of all groups, up to a constant."""
        logs = -0.5 * ((moved - mean).square() / variance + variance.log())
        return logs.where(self._counts > 0.0, 0.0).sum(1)


def _members(mode: str | None) -> Tensor:
    """(3, 3) whether a group, the row, has an axis, the column."""
    members = torch.zeros(3, 3, dtype=torch.float64)
    for row, group in enumerate(GROUPS[mode] if mode else ()):
        members[row, list(group)] = 1.0
    return members

"""Thermostats of many systems at once: Nose-Hoover chains, Langevin, stochastic velocity rescaling.

A system that a thermostat leaves alone has an infinite relaxation time: its numbers are multiplied by one.
"""

import torch
from torch import Tensor

from md.engines.torch.noise import gamma, hashed, normal
from md.engines.torch.systems import Systems

LINKS = 3


class NoseHooverChains:
    """Chains of thermostats for each of S systems: one on its atoms and, among barostats, one on its cell.

    In place of momenta, the rates of the chain are kept: while the target changes its masses follow, at
    constant friction. Masses are Q_1 = n kT tau^2 for n degrees of freedom, and Q_k = kT tau^2.

    Source: Martyna, Klein & Tuckerman 1992 (10.1063/1.463940); steps of Martyna et al. 1996
    (10.1080/00268979600100761).

    Attributes:
        eta: (S, K, LINKS) positions of the thermostats, K being 1 or, with cells, 2.
        rates: (S, K, LINKS) their velocities, 1/fs.
    """

    def __init__(self, degrees_of_freedom: Tensor, relaxation_fs: Tensor, timestep_fs: Tensor) -> None:
        """Chains at rest.

        Args:
            degrees_of_freedom: (S, K) that each chain thermalises.
            relaxation_fs: (S, K) infinite where there is none.
            timestep_fs: (S,).
        """
        self._counts, self._quarter = degrees_of_freedom, 0.25 * timestep_fs.unsqueeze(1)
        self._stiffness = relaxation_fs.square().reciprocal()
        self._pull = self._quarter * self._stiffness
        self._drive = self._quarter * self._counts
        self._brake = -0.5 * self._quarter
        self.eta = timestep_fs.new_zeros(*degrees_of_freedom.shape, LINKS)
        self.rates = torch.zeros_like(self.eta)

    def half_step(self, twice_kinetic: Tensor, thermal_energy: Tensor) -> Tensor:
        """Move the chains by half a time step.

        Args:
            twice_kinetic: (S, K) twice the kinetic energies, eV.
            thermal_energy: (S,) kT of the targets, eV.

        Returns:
            (S, K) what velocities are to be multiplied by.
        """
        rates, half = list(self.rates.unbind(2)), 2.0 * self._quarter
        excess = twice_kinetic / (self._counts * thermal_energy.unsqueeze(1))
        for link in reversed(range(LINKS)):
            self._push(rates, link, excess)
        scale = (-half * rates[0]).exp()
        self.eta = self.eta + half.unsqueeze(2) * torch.stack(rates, dim=2)
        excess = excess * scale.square()
        for link in range(LINKS):
            self._push(rates, link, excess)
        self.rates = torch.stack(rates, dim=2)
        return scale

    def _push(self, rates: list[Tensor], link: int, excess: Tensor) -> None:
        """A quarter of a time step of one link: its force amid the friction of the next link."""
        if link == 0:
            push = (excess - 1.0) * self._pull
        else:
            drive = self._drive if link == 1 else self._quarter
            push = drive * rates[link - 1].square() - self._pull
        if link + 1 == LINKS:
            rates[link] = rates[link] + push
        else:
            friction = (self._brake * rates[link + 1]).exp()
            rates[link] = torch.addcmul(push, rates[link], friction) * friction

    def energy(self, thermal_energy: Tensor) -> Tensor:
        """(S,) kinetic and potential energy of the chains, eV; zero where there is none."""
        is_there = self._stiffness > 0.0
        inertia = self._stiffness.where(is_there, 1.0).reciprocal()
        parts = 0.5 * inertia.unsqueeze(2) * self.rates.square() + self.eta
        energies = self._counts * parts[..., 0] + parts[..., 1:].sum(2)
        return thermal_energy * energies.where(is_there, 0.0).sum(1)


class Langevin:
    """The stochastic part of BAOAB: friction and noise on velocities, exact for a free particle.

    Source: Leimkuhler & Matthews 2013 (10.1093/amrx/abs010); the conserved quantity is the energy less the
    heat that came in: Bussi & Parrinello 2007 (10.1103/PhysRevE.75.056707).

    Attributes:
        heat: (S,) that the bath has given since the start, eV.
    """

    def __init__(self, relaxation_fs: Tensor, timestep_fs: Tensor) -> None:
        """Baths.

        Args:
            relaxation_fs: (S,) the inverse of the friction, infinite where there is none.
            timestep_fs: (S,).
        """
        self._keep = (-timestep_fs / relaxation_fs).exp()
        self.heat = torch.zeros_like(timestep_fs)

    def step(self, systems: Systems, thermal_energy: Tensor, key: Tensor, atoms: Tensor | None) -> None:
        """A whole time step.

        Args:
            systems: Whose velocities change.
            thermal_energy: (S,) kT, eV.
            key: (N,) of this step's noise, one for each atom.
            atoms: (N, 1) which atoms the bath touches; None for all.
        """
        before = systems.twice_kinetic()
        noise = (thermal_energy * (1.0 - self._keep.square())).sqrt()
        kicks = systems.spread(noise).unsqueeze(1) * systems.masses.rsqrt() * normal(key, 3)
        moved = systems.spread(self._keep).unsqueeze(1) * systems.velocities + kicks
        systems.velocities = moved if atoms is None else moved.where(atoms, systems.velocities)
        self.heat = self.heat + 0.5 * (systems.twice_kinetic() - before)


class VelocityRescaling:
    """Stochastic velocity rescaling: the canonical ensemble, with little disturbance of the dynamics.

    Source: Bussi, Donadio & Parrinello 2007 (10.1063/1.2408420), equation A7; sign of the factor from Bussi &
    Parrinello 2008 (10.1016/j.cpc.2008.01.006).

    Attributes:
        heat: (S,) that the bath has given since the start, eV.
    """

    def __init__(self, degrees_of_freedom: Tensor, relaxation_fs: Tensor, timestep_fs: Tensor) -> None:
        """Baths.

        Args:
            degrees_of_freedom: (S,).
            relaxation_fs: (S,) of the kinetic energy, infinite where there is none.
            timestep_fs: (S,).
        """
        self._counts = degrees_of_freedom
        self._keep = (-0.5 * timestep_fs / relaxation_fs).exp()
        self.heat = torch.zeros_like(timestep_fs)

    def half_step(self, twice_kinetic: Tensor, thermal_energy: Tensor, key: Tensor) -> Tensor:
        """Half a time step.

        Args:
            twice_kinetic: (S,) eV.
            thermal_energy: (S,) kT, eV.
            key: (S,) of this half step's noise.

        Returns:
            (S,) what velocities are to be multiplied by.
        """
        keep = self._keep
        first = normal(key, 1).squeeze(1)
        others = 2.0 * gamma(hashed(key, 7), 0.5 * (self._counts - 1.0))
        ratio = (1.0 - keep) * thermal_energy / twice_kinetic
        square = keep + ratio * (first.square() + others) + 2.0 * first * (keep * ratio).sqrt()
        scale = square.sqrt() * torch.sign(first + (keep / ratio).sqrt())
        scale = scale.where(keep < 1.0, 1.0)
        self.heat = self.heat + 0.5 * twice_kinetic * (scale.square() - 1.0)
        return scale

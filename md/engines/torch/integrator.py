"""One time step of many systems, each in its own ensemble, as a symmetric sequence of exact parts.

    thermostats, barostats, forces on velocities: half a step
    positions and cells: a step, the noise of Langevin or of cell rescaling in its middle
    the potential
    forces on velocities, barostats, thermostats: half a step

Without thermostat and barostat this is velocity Verlet, with Langevin BAOAB, with chains the integrator of
Martyna et al. 1996 (10.1080/00268979600100761). A part is left out where no system of the batch has it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from md.engines.base import Place
from md.engines.torch.clock import TICKING, Clock
from md.engines.torch.couplings import barostats_of, thermostats_of
from md.engines.torch.fire import INTERNALS as FIRE_INTERNALS
from md.engines.torch.fire import Fire
from md.engines.torch.noise import hashed
from md.engines.torch.systems import MOVING, Systems
from md.groups import mobile_atoms, thermostatted_atoms

# Counters of the random numbers of a system, apart from those of its atoms.
_BEFORE, _AFTER, _CELL = -2, -3, -4
# Puts forces, energies and virials of the present positions and cells into the systems.
Evaluate = Callable[[Systems], None]
Snapshot = dict[str, Tensor]
# How the names of internal variables of atoms start; the others are of systems.
OF_ATOMS = "atoms."


class Integrator:
    """Moves systems; their forces must be those of their positions before the first step.

    Attributes:
        systems: What moves.
        clock: Where each of them stands.
    """

    def __init__(self, systems: Systems, places: Sequence[Place], seed: int, evaluate: Evaluate) -> None:
        """Integrators of the ensembles of these stages, thermostats and barostats at rest.

        Args:
            systems: What shall move.
            places: Number, stage and state of each system.
            seed: That of a system is this plus its number.
            evaluate: The potential.
        """
        self.systems, self._evaluate = systems, evaluate
        device = systems.positions.device
        stages = [place.stage for place in places]
        seeds = [seed + place.system for place in places]
        self.clock = Clock(stages, [place.state.steps_done for place in places], seeds, device)
        first_in_system = systems.spread(systems.offsets[:-1])
        self._atom_in_system = torch.arange(len(systems.batch), device=device) - first_in_system
        self._mobile = _column_of([mobile_atoms(each.state, each.stage) for each in places], device)
        thermostatted = [thermostatted_atoms(each.state, each.stage) for each in places]
        self._thermostatted = _column_of(thermostatted, device)
        step = self.clock.timestep_fs
        self.barostat, self.cell_rescaling = barostats_of(places, systems.cell, step)
        self.chains, self.rescaling, self.langevin = thermostats_of(places, step, self.barostat)
        # in one go, or in two around what comes in the middle
        self._drifts = 1 if self.langevin is None and self.cell_rescaling is None else 2
        self.fire = Fire(systems, stages) if any(each.is_relaxation for each in stages) else None

    def start(self) -> None:
        """Ask the potential for the first forces."""
        self._find_forces()

    def step(self) -> None:
        """One time step of every system."""
        self.clock.tick()
        self._thermalise(_BEFORE)
        self._push_and_kick()
        self._drift()
        if self.fire is not None:  # of systems whose time step is zero, which nothing else here moves
            self.fire.step(self.systems)
        self._find_forces()
        if self.cell_rescaling is not None:
            self.cell_rescaling.settle(self.systems, self.clock.thermal_energy)
        self._kick_and_push()
        self._thermalise(_AFTER)

    def conserved(self) -> Tensor:
        """(S,) what each system's integrator keeps constant at a fixed target, eV."""
        systems, kT = self.systems, self.clock.thermal_energy
        energy = systems.energies + 0.5 * systems.twice_kinetic()
        if self.chains is not None:
            energy = energy + self.chains.energy(kT)
        for bath in (self.rescaling, self.langevin):
            if bath is not None:
                energy = energy - bath.heat
        if self.barostat is not None:
            energy = energy + self.barostat.energy(systems)
        if self.cell_rescaling is not None:
            energy = energy + self.cell_rescaling.energy(systems)
        return energy if self.fire is None else energy.where(~self.fire.is_there, torch.nan)

    def internals(self) -> dict[str, Tensor]:
        """What the next steps depend on beside positions, velocities, cells and clock, by name.

        (S, ...), but (N, ...) under names that start with `OF_ATOMS`.
        """
        return {name: getattr(owner, variable) for name, owner, variable in self._variables()}

    def restore(self, internals: Mapping[str, Tensor]) -> None:
        """Put back what `internals` gave."""
        for name, owner, variable in self._variables():
            setattr(owner, variable, internals[name])

    def snapshot(self) -> Snapshot:
        """All that a step changes, by name; tensors are never written into, so that nothing is copied."""
        return {name: getattr(owner, attribute) for name, owner, attribute in self._changing()}

    def go_back(self, snapshot: Snapshot) -> None:
        """Stand where a snapshot was taken."""
        for name, owner, attribute in self._changing():
            setattr(owner, attribute, snapshot[name])

    def _changing(self) -> Iterator[tuple[str, object, str]]:
        """Name, owner and attribute of all that a step changes."""
        for owner, attributes in ((self.systems, MOVING), (self.clock, TICKING)):
            for attribute in attributes:
                yield attribute, owner, attribute
        yield from self._variables()

    def _variables(self) -> Iterator[tuple[str, object, str]]:
        """Name, owner and attribute of each internal variable."""
        for name, owner, variable in (
            ("chain.eta", self.chains, "eta"),
            ("chain.rates", self.chains, "rates"),
            ("strain_rate", self.barostat, "strain_rate"),
            ("allowed_strains", self.barostat, "allowed"),
            ("cell_axes", self.cell_rescaling, "axes"),
            ("rescaling.heat", self.rescaling, "heat"),
            ("langevin.heat", self.langevin, "heat"),
            ("cell_rescaling.work", self.cell_rescaling, "work"),
        ):
            if owner is not None:
                yield name, owner, variable
        if self.fire is not None:
            for variable in FIRE_INTERNALS:
                of_atoms = OF_ATOMS if variable == "atom_velocities" else ""
                yield f"{of_atoms}fire.{variable}", self.fire, variable

    def _find_forces(self) -> None:
        self._evaluate(self.systems)
        if self._mobile is not None:
            self.systems.forces = self.systems.forces * self._mobile

    def _thermalise(self, half: int) -> None:
        systems, kT = self.systems, self.clock.thermal_energy
        if self.chains is not None:
            kinetic = [systems.twice_kinetic(self._thermostatted)]
            if self.barostat is not None:
                kinetic.append(self.barostat.twice_kinetic())
            factors = self.chains.half_step(torch.stack(kinetic, dim=1), kT).unbind(1)
            self._scale(factors[0])
            if self.barostat is not None:
                self.barostat.scale(factors[1])
        if self.rescaling is not None:
            key = hashed(self.clock.step_keys, half)
            self._scale(self.rescaling.half_step(systems.twice_kinetic(self._thermostatted), kT, key))

    def _scale(self, factors: Tensor) -> None:
        """Multiply the velocities that a thermostat touches by the factor (S,) of their system."""
        of_atoms = self.systems.spread(factors).unsqueeze(1)
        if self._thermostatted is not None:
            of_atoms = of_atoms.where(self._thermostatted, 1.0)
        self.systems.velocities = self.systems.velocities * of_atoms

    def _push_and_kick(self) -> None:
        if self.barostat is not None:
            self.barostat.half_step(self.systems)
            step = self.clock.timestep_fs
            self.barostat.plan(0.5 * step, step / self._drifts)
        self._kick()

    def _kick_and_push(self) -> None:
        self._kick()
        if self.barostat is not None:
            self.barostat.half_step(self.systems)

    def _kick(self) -> None:
        systems = self.systems
        if self.barostat is not None:
            self.barostat.kick(systems)
            return
        times = systems.spread(0.5 * self.clock.timestep_fs).unsqueeze(1)
        systems.velocities = systems.velocities + times * systems.forces / systems.masses

    def _drift(self) -> None:
        self._move()
        if self._drifts == 1:
            return
        kT = self.clock.thermal_energy
        if self.langevin is not None:
            keys = hashed(self.systems.spread(self.clock.step_keys), self._atom_in_system)
            self.langevin.step(self.systems, kT, keys, self._thermostatted)
        if self.cell_rescaling is not None:
            self.cell_rescaling.move(self.systems, kT, hashed(self.clock.step_keys, _CELL))
        self._move()

    def _move(self) -> None:
        systems = self.systems
        if self.barostat is not None:
            self.barostat.drift(systems)
            return
        times = systems.spread(self.clock.timestep_fs / self._drifts).unsqueeze(1)
        systems.positions = systems.positions + times * systems.velocities


def _column_of(masks: Sequence[NDArray[np.bool_]], device: torch.device) -> Tensor | None:
    """Masks of all systems as one (N, 1) bool; None where they hold every atom."""
    joined = np.concatenate(masks)
    return None if joined.all() else torch.as_tensor(joined, device=device).unsqueeze(1)

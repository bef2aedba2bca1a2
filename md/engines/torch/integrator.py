"""One time step of many systems, each in its own ensemble, as a symmetric sequence of exact parts.

    thermostats, barostats, forces on velocities: half a step
    positions and cells: a step, Langevin's noise in its middle
    the potential
    forces on velocities, barostats, thermostats: half a step

Without thermostat and barostat this is velocity Verlet, with Langevin BAOAB, with chains the integrator of
Martyna et al. 1996 (10.1080/00268979600100761). A part is left out where no system of the batch has it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from md.engines.torch.barostat import Barostat
from md.engines.torch.clock import Clock
from md.engines.torch.fire import INTERNALS as FIRE_INTERNALS
from md.engines.torch.fire import Fire
from md.engines.torch.noise import hashed
from md.engines.torch.systems import Systems
from md.engines.torch.thermostats import Langevin, NoseHooverChains
from md.protocols.stages import PlannedStage
from mlip.units import BOLTZMANN_EV_PER_K, EV_PER_A3_IN_GPA

# Puts forces, energies and virials of the present positions and cells into the systems.
Evaluate = Callable[[Systems], None]
# How the names of internal variables of atoms start; the others are of systems.
OF_ATOMS = "atoms."


class Integrator:
    """Moves systems; their forces must be those of their positions before the first step.

    Attributes:
        systems: What moves.
        clock: Where each of them stands.
    """

    def __init__(
        self,
        systems: Systems,
        stages: Sequence[PlannedStage],
        steps_done: Sequence[int],
        seeds: Sequence[int],
        evaluate: Evaluate,
    ) -> None:
        """Integrators of the ensembles of these stages, thermostats and barostats at rest.

        Args:
            systems: What shall move.
            stages: Stage of each system.
            steps_done: Steps of the stage that each system has done.
            seeds: Seed of each system.
            evaluate: The potential.
        """
        self.systems, self._evaluate = systems, evaluate
        device = systems.positions.device
        self.clock = clock = Clock(stages, steps_done, seeds, device)
        sizes = systems.offsets.diff()
        removed = torch.tensor([each.degrees_of_freedom_removed for each in stages], device=device)
        counts = (3 * sizes - removed).double()
        first_in_system = systems.spread(systems.offsets[:-1])
        self._atom_in_system = torch.arange(len(systems.batch), device=device) - first_in_system
        step = clock.timestep_fs

        def relaxation(thermostat: str) -> Tensor:
            times = [each.stage.tdamp_fs if _thermostat(each) == thermostat else torch.inf for each in stages]
            return torch.tensor(times, dtype=torch.float64, device=device)

        held = {_thermostat(each) for each in stages}
        chained = relaxation("nose_hoover_chain")
        self.chains = NoseHooverChains(counts, chained, step) if "nose_hoover_chain" in held else None
        self.langevin = Langevin(relaxation("langevin"), step) if "langevin" in held else None
        self.barostat = _barostat(stages, counts, step) if any(map(_barostat_mode, stages)) else None
        self.fire = Fire(systems, stages) if any(each.is_relaxation for each in stages) else None

    def start(self) -> None:
        """Ask the potential for the first forces."""
        self._evaluate(self.systems)

    def step(self) -> None:
        """One time step of every system."""
        self.clock.tick()
        self._thermalise()
        self._push_and_kick()
        self._drift()
        if self.fire is not None:  # of systems whose time step is zero, which nothing else here moves
            self.fire.step(self.systems)
        self._evaluate(self.systems)
        self._kick_and_push()
        self._thermalise()

    def conserved(self) -> Tensor:
        """(S,) what each system's integrator keeps constant at a fixed target, eV."""
        systems, kT = self.systems, self.clock.thermal_energy
        energy = systems.energies + 0.5 * systems.twice_kinetic()
        if self.chains is not None:
            energy = energy + self.chains.energy(kT)
        if self.langevin is not None:
            energy = energy - self.langevin.heat
        if self.barostat is not None:
            energy = energy + self.barostat.energy(systems, kT)
        return energy if self.fire is None else energy.where(~self.fire.is_there, torch.nan)

    def internals(self) -> dict[str, Tensor]:
        """What the next steps depend on beside positions, velocities, cells and clock, by name.

        (S, ...), but (N, ...) under names that start with `OF_ATOMS`.
        """
        found: dict[str, Tensor] = {}
        for name, owner, variable in self._variables():
            found[name] = getattr(owner, variable)
        return found

    def restore(self, internals: Mapping[str, Tensor]) -> None:
        """Put back what `internals` gave."""
        for name, owner, variable in self._variables():
            setattr(owner, variable, internals[name])

    def _variables(self) -> Iterator[tuple[str, object, str]]:
        """Name, owner and attribute of each internal variable."""
        chains = {"chain": self.chains}
        if self.barostat is not None:
            chains["cell_chain"] = self.barostat.chains
            yield "strain_rate", self.barostat, "strain_rate"
        for name, chain in chains.items():
            if chain is not None:
                yield f"{name}.eta", chain, "eta"
                yield f"{name}.rates", chain, "rates"
        if self.langevin is not None:
            yield "langevin.heat", self.langevin, "heat"
        if self.fire is not None:
            for variable in FIRE_INTERNALS:
                of_atoms = OF_ATOMS if variable == "atom_velocities" else ""
                yield f"{of_atoms}fire.{variable}", self.fire, variable

    def _thermalise(self) -> None:
        systems, kT = self.systems, self.clock.thermal_energy
        if self.barostat is not None:
            self.barostat.thermalise(kT)
        if self.chains is not None:
            scale = self.chains.half_step(systems.twice_kinetic(), kT)
            systems.velocities = systems.velocities * systems.spread(scale).unsqueeze(1)

    def _push_and_kick(self) -> None:
        if self.barostat is not None:
            self.barostat.half_step(self.systems)
        self._kick()

    def _kick_and_push(self) -> None:
        self._kick()
        if self.barostat is not None:
            self.barostat.half_step(self.systems)

    def _kick(self) -> None:
        systems, half = self.systems, 0.5 * self.clock.timestep_fs
        if self.barostat is not None:
            self.barostat.kick(systems, half)
            return
        times = systems.spread(half).unsqueeze(1)
        systems.velocities = systems.velocities + times * systems.forces / systems.masses

    def _drift(self) -> None:
        if self.langevin is None:
            self._move(self.clock.timestep_fs)
            return
        half = 0.5 * self.clock.timestep_fs
        self._move(half)
        keys = hashed(self.systems.spread(self.clock.step_keys), self._atom_in_system)
        self.langevin.step(self.systems, self.clock.thermal_energy, keys)
        self._move(half)

    def _move(self, timestep_fs: Tensor) -> None:
        systems = self.systems
        if self.barostat is not None:
            self.barostat.drift(systems, timestep_fs)
            return
        times = systems.spread(timestep_fs).unsqueeze(1)
        systems.positions = systems.positions + times * systems.velocities


def _thermostat(stage: PlannedStage) -> str | None:
    is_held = stage.stage.ensemble != "nve" and stage.start_K is not None
    return stage.stage.thermostat if is_held else None


def _barostat_mode(stage: PlannedStage) -> str | None:
    return stage.stage.barostat if stage.stage.ensemble == "npt" else None


def _barostat(stages: Sequence[PlannedStage], counts: Tensor, timestep_fs: Tensor) -> Barostat:
    def numbers(values: list[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float64, device=counts.device)

    return Barostat(
        modes=[_barostat_mode(each) for each in stages],
        pressure=numbers([each.stage.pressure_GPa / EV_PER_A3_IN_GPA for each in stages]),
        relaxation_fs=numbers([each.stage.pdamp_fs for each in stages]),
        thermal_energy=BOLTZMANN_EV_PER_K * numbers([each.start_K or 1.0 for each in stages]),
        degrees_of_freedom=counts,
        timestep_fs=timestep_fs,
    )

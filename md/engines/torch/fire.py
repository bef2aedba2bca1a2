"""FIRE: atoms, and the cells that may change, of many systems slide down to minima of the energy.

A point moves by its force, all atoms of the same mass. While it moves downhill its velocity turns towards the
force and its time step grows; when it moves uphill it stops and starts again with a smaller step. For a cell
the point is joined by a symmetric strain of cell and atoms, counted from the cell of now, times sqrt(N) A for
N atoms: so a crystal resists a strain about as stiffly as its atoms resist a shift, whatever its size. The
force on the strain is that of the enthalpy E + P V.

Here FIRE has no unit of time: with F in eV/A as acceleration and A as length its steps are about 0.1 to 1.

Source: Bitzek et al. 2006 (10.1103/PhysRevLett.97.170201), as in ASE, whose numbers these are; there strains
are multiplied by N, which makes cells of large systems slow. Tadmor et al. 1999 (10.1103/PhysRevB.59.235)
for strain and positions as one point.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from md.engines.torch.strains import allowed_strains, column, projected
from md.engines.torch.systems import Systems
from md.protocols.relaxation import Relaxation
from md.protocols.stages import PlannedStage
from md.thermo import Residual
from mlip.units import EV_PER_A3_IN_GPA

FIRST_STEP, LONGEST_STEP = 0.1, 1.0
FASTER, SLOWER = 1.1, 0.5
DOWNHILL_STEPS_BEFORE_FASTER = 5
FIRST_TURN, LESS_TURN = 0.1, 0.99
# What `Fire` must be given back to go on, beside positions and cells.
INTERNALS = ("atom_velocities", "strain_velocities", "timesteps", "turn", "downhill", "steps", "allowed")
# No atom moves further in a step, A, and no cell is strained more.
LONGEST_MOVE_A, LARGEST_STRAIN = 0.2, 0.02


class Fire:
    """Relaxes some systems of a batch, each with a step of its own; those that have converged stand still.

    Nothing here waits for the device.

    Attributes:
        is_there: (S,) bool, the systems that relax.
        atom_velocities: (N, 3) A.
        strain_velocities: (S, 3, 3) of the strain times sqrt(N), A.
        timesteps: (S,).
        turn: (S,) how much of the velocity turns towards the force in a step.
        downhill: (S,) int64, steps since it moved uphill.
        steps: (S,) int64, how often it has moved.
        allowed: (S, 9, 9) projector onto the strains that the cell may take.
    """

    def __init__(self, systems: Systems, stages: Sequence[PlannedStage]) -> None:
        """At rest, before the first step.

        Args:
            systems: What will move.
            stages: Stage of each system; those that are no relaxations are left alone.
        """
        device, count = systems.positions.device, systems.num_systems
        users = [each.stage if isinstance(each.stage, Relaxation) else None for each in stages]

        def numbers(values: Sequence[float]) -> Tensor:
            return torch.tensor(values, dtype=torch.float64, device=device)

        self.is_there = torch.tensor([user is not None for user in users], device=device)
        self._force_tolerance = numbers([user.force_tolerance_eV_A if user else 0.0 for user in users])
        self._stress_tolerance = numbers([user.stress_tolerance_GPa if user else 0.0 for user in users])
        self._pressure = numbers([user.pressure_GPa / EV_PER_A3_IN_GPA if user else 0.0 for user in users])
        cells = systems.cell.cpu().numpy()
        modes = [user.barostat if user else None for user in users]
        projectors = [allowed_strains(mode, cell) for mode, cell in zip(modes, cells, strict=True)]
        self.allowed = torch.stack(projectors).to(device)
        self._leverage = systems.offsets.diff().double().sqrt()
        self.atom_velocities = torch.zeros_like(systems.positions)
        self.strain_velocities = torch.zeros_like(systems.cell)
        self.timesteps = torch.full((count,), FIRST_STEP, dtype=torch.float64, device=device)
        self.turn = torch.full_like(self.timesteps, FIRST_TURN)
        self.downhill = torch.zeros(count, dtype=torch.int64, device=device)
        self.steps = torch.zeros_like(self.downhill)

    def residual(self, systems: Systems) -> tuple[Tensor, Tensor]:
        """The largest force on an atom, eV/A, and the largest stress that may give way, GPa; (S,) each."""
        forces = systems.forces.square().sum(1)
        largest = torch.segment_reduce(forces, "max", offsets=systems.offsets, unsafe=True).sqrt()
        stress = self._strain_forces(systems).abs().amax((1, 2)) / systems.volumes * EV_PER_A3_IN_GPA
        return largest, stress.where(self.allowed.any(2).any(1), 0.0)  # an open structure has no volume

    def residuals(self, systems: Systems) -> list[Residual]:
        """The same and more of each system, on the host."""
        of_systems = (self.steps, *self.residual(systems), self.has_converged(systems))
        return [Residual(*numbers) for numbers in zip(*(each.tolist() for each in of_systems), strict=True)]

    def has_converged(self, systems: Systems) -> Tensor:
        """(S,) bool, whether the present forces and stresses are within the tolerances."""
        force, stress = self.residual(systems)
        return self.is_there & (force <= self._force_tolerance) & (stress <= self._stress_tolerance)

    def step(self, systems: Systems) -> None:
        """Move positions and cells by one step of the present forces; these are then out of date."""
        moving = self.is_there & ~self.has_converged(systems)
        strain_forces = self._strain_forces(systems) / column(self._leverage)
        self._turn_velocities(systems, strain_forces, moving)
        step = self.timesteps.where(moving, 0.0)
        self.atom_velocities = self.atom_velocities + _of_atoms(systems, step) * systems.forces
        self.strain_velocities = self.strain_velocities + column(step) * strain_forces
        moves = _of_atoms(systems, step) * self.atom_velocities
        strains = column(step / self._leverage) * self.strain_velocities
        shorter = _shortening(systems, moves, strains)
        self._move(systems, _of_atoms(systems, shorter) * moves, column(shorter) * strains)
        self.steps = self.steps + moving

    def _turn_velocities(self, systems: Systems, strain_forces: Tensor, moving: Tensor) -> None:
        """Turn velocities towards the forces, or stop them where they lead uphill; set the time steps."""
        power = _product(systems, systems.forces, self.atom_velocities, strain_forces, self.strain_velocities)
        force = _product(systems, systems.forces, systems.forces, strain_forces, strain_forces).sqrt()
        speed = _product(
            systems,
            self.atom_velocities,
            self.atom_velocities,
            self.strain_velocities,
            self.strain_velocities,
        ).sqrt()
        down, up = moving & (power > 0.0), moving & (power < 0.0)
        keep = (1.0 - self.turn).where(down, 1.0).where(~up, 0.0)
        add = (self.turn * speed / force).where(down, 0.0)
        self.atom_velocities = (
            _of_atoms(systems, keep) * self.atom_velocities + _of_atoms(systems, add) * systems.forces
        )
        self.strain_velocities = column(keep) * self.strain_velocities + column(add) * strain_forces
        faster = down & (self.downhill > DOWNHILL_STEPS_BEFORE_FASTER)
        longer = (FASTER * self.timesteps).clamp_max(LONGEST_STEP)
        self.timesteps = self.timesteps.where(~faster, longer).where(~up, SLOWER * self.timesteps)
        self.turn = self.turn.where(~faster, LESS_TURN * self.turn).where(~up, FIRST_TURN)
        self.downhill = (self.downhill + down).where(~up, 0)

    def _move(self, systems: Systems, moves: Tensor, strains: Tensor) -> None:
        stretch = torch.eye(3, dtype=strains.dtype, device=strains.device) + strains
        systems.positions = systems.turned(systems.positions + moves, stretch)
        systems.cell = torch.bmm(systems.cell, stretch)

    def _strain_forces(self, systems: Systems) -> Tensor:
        """(S, 3, 3) -d(E + P V)/dstrain along the strains that the cell may take, eV."""
        unit = torch.eye(3, dtype=systems.cell.dtype, device=systems.cell.device)
        forces = systems.virials - column(self._pressure * systems.volumes) * unit
        return projected(forces, self.allowed)


def _product(systems: Systems, a: Tensor, b: Tensor, strain_a: Tensor, strain_b: Tensor) -> Tensor:
    """(S,) scalar product of two vectors of atoms and strains."""
    return systems.sum((a * b).sum(1)) + (strain_a * strain_b).sum((1, 2))


def _shortening(systems: Systems, moves: Tensor, strains: Tensor) -> Tensor:
    """(S,) what the steps are multiplied by to be within the limits, at most 1."""
    squares = moves.square().sum(1)
    longest = torch.segment_reduce(squares, "max", offsets=systems.offsets, unsafe=True).sqrt()
    largest = torch.linalg.vector_norm(strains, dim=(1, 2))
    return torch.maximum(longest / LONGEST_MOVE_A, largest / LARGEST_STRAIN).clamp_min(1.0).reciprocal()


def _of_atoms(systems: Systems, of_systems: Tensor) -> Tensor:
    return systems.spread(of_systems).unsqueeze(1)

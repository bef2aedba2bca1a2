"""Analytic potentials of a batch, for the integrators in torch."""

import torch

SPRING = 2.0  # eV/A^2
EPSILON, SIGMA, R_ON, R_MAX = 0.0104, 3.4, 4.2, 5.0


def nothing(systems):
    """Atoms that do not see each other: all stays zero, as systems start."""


class Wells:
    """Every atom in a harmonic well of its own, around where it stands at the start."""

    def __init__(self, systems):
        self.centres = systems.positions.clone()

    def __call__(self, systems):
        away = systems.positions - self.centres
        systems.forces = -SPRING * away
        systems.energies = systems.sum(0.5 * SPRING * away.square().sum(1))


def lennard_jones(systems):
    """All pairs in the minimum image, of systems of one size: the potential of `SmoothLennardJones`."""
    count = systems.num_systems
    with torch.enable_grad():
        positions = systems.positions.detach().requires_grad_(True)
        strain = torch.zeros_like(systems.cell).requires_grad_(True)
        cell = systems.cell + systems.cell @ strain
        x = positions.view(count, -1, 3)
        x = x + x @ strain
        vectors = x.unsqueeze(1) - x.unsqueeze(2)
        images = (vectors @ torch.linalg.inv(cell).unsqueeze(1)).round()
        vectors = vectors - images.detach() @ cell.unsqueeze(1)
        squares = vectors.square().sum(-1)
        near = (squares < R_MAX**2) & (squares > 0.0)
        distances = squares.where(near, R_MAX**2).sqrt()
        s6 = (SIGMA / distances) ** 6
        part = ((distances - R_ON) / (R_MAX - R_ON)).clamp(0.0, 1.0)
        switch = 1.0 - part**3 * (10.0 - 15.0 * part + 6.0 * part**2)
        energies = 0.5 * (4.0 * EPSILON * (s6**2 - s6) * switch).where(near, 0.0).sum((1, 2))
        slope, tension = torch.autograd.grad(energies.sum(), (positions, strain))
    systems.forces, systems.energies = -slope, energies.detach()
    systems.virials = -0.5 * (tension + tension.mT)

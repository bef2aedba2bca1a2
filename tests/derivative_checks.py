"""Energies of a labeler against its own forces and stress, by central differences along random directions."""

import numpy as np
from ase import Atoms

from mlip.labelers.compute import compute_outcome


def label_of(labeler, atoms, folder):
    outcome = compute_outcome(labeler, atoms, folder)
    assert outcome.reason is None, outcome.reason
    return outcome.label


def force_errors(labeler, atoms, folder, step=0.01, directions=1):
    """What a derivative along random displacements differs by from the forces, eV/A; and the derivatives."""
    rng = np.random.default_rng(0)
    forces = label_of(labeler, atoms, folder).forces
    pairs = []
    for _ in range(directions):
        direction = rng.normal(size=forces.shape)
        direction /= np.linalg.norm(direction)
        energies = [label_of(labeler, displaced(atoms, h * direction), folder).energy for h in (-step, step)]
        derivative = (energies[1] - energies[0]) / (2 * step)
        pairs.append((-derivative - np.sum(forces * direction), derivative))
    return np.array(pairs)


def stress_errors(labeler, atoms, folder, step=0.005, directions=1):
    """What a derivative along random strains differs by from the stress, eV/A^3; and the derivatives."""
    rng = np.random.default_rng(1)
    xx, yy, zz, yz, xz, xy = label_of(labeler, atoms, folder).stress
    stress = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    pairs = []
    for _ in range(directions):
        strain = rng.normal(size=(3, 3))
        strain = (strain + strain.T) / np.linalg.norm(strain + strain.T)
        energies = [label_of(labeler, strained(atoms, h * strain), folder).energy for h in (-step, step)]
        derivative = (energies[1] - energies[0]) / (2 * step) / atoms.get_volume()
        pairs.append((derivative - np.sum(stress * strain), derivative))
    return np.array(pairs)


def displaced(atoms: Atoms, displacement) -> Atoms:
    moved = atoms.copy()
    moved.positions += displacement
    return moved


def strained(atoms: Atoms, strain) -> Atoms:
    moved = atoms.copy()
    moved.set_cell(atoms.cell @ (np.eye(3) + strain), scale_atoms=True)
    return moved

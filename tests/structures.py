"""Small disordered structures of every kind of boundary, for tests."""

import numpy as np
from ase import Atoms

from mlip.data.graph import build_graph
from mlip.nn.derivatives import ForceField, Prediction

SPECIES = ("Li", "P", "S")


def random_structure(kind: str, seed: int = 0) -> Atoms:
    """A disordered structure: triclinic, slab, molecule, small_cell (below 2 r_max) or atom."""
    rng = np.random.default_rng(seed)
    if kind == "atom":
        return Atoms("Li", positions=[[0.1, 0.2, 0.3]])
    cells = {
        "triclinic": [[7.0, 0.4, 0.0], [1.5, 6.5, 0.3], [0.2, -1.0, 7.5]],
        "slab": [[6.5, 0.5, 0.0], [0.0, 7.0, 0.0], [0.0, 0.0, 30.0]],
        "molecule": [[8.0, 0.0, 0.0], [0.0, 8.0, 0.0], [0.0, 0.0, 8.0]],
        "small_cell": [[3.1, 0.2, 0.0], [0.0, 3.3, 0.4], [0.5, 0.0, 3.5]],
    }
    number = 3 if kind == "small_cell" else 12
    box = np.array(cells[kind])
    extent = np.diag([1.0, 1.0, 0.25]) if kind == "slab" else np.eye(3)
    positions = _spread_out(rng, number, box, extent)
    pbc = {"slab": (True, True, False), "molecule": False}.get(kind, True)
    return Atoms(rng.choice(SPECIES, number), positions=positions, cell=box, pbc=pbc)


def _spread_out(rng: np.random.Generator, number: int, cell: np.ndarray, extent: np.ndarray) -> np.ndarray:
    """Random positions at least 1.5 A apart, images included."""
    placed: list[np.ndarray] = []
    while len(placed) < number:
        candidate = rng.random(3) @ extent @ cell
        shifts = np.array(np.meshgrid(*[[-1, 0, 1]] * 3)).reshape(3, -1).T @ cell
        if all(np.linalg.norm(candidate - other + shifts, axis=1).min() > 1.5 for other in placed):
            placed.append(candidate)
    return np.array(placed)


def predict(force_field: ForceField, atoms: Atoms) -> Prediction:
    """Evaluate one structure with a force field of species Li, P, S and r_max 4 A."""
    graph = build_graph(atoms, 4.0, SPECIES)
    return force_field(*graph.inputs)


def shared_numbers(prediction):
    """What all back ends agree on: not on which of two edges stands what depends on their common length."""
    return prediction[:-1]

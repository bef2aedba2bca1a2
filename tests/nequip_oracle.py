"""nequip's models as oracles: build them without a trace, evaluate them beside ours, compare."""

from contextlib import contextmanager

import numpy as np
import torch

from mlip.data.graph import build_graph

# Largest difference over the largest number.
TOLERANCES = {torch.float64: 1e-10, torch.float32: 1e-5}


@contextmanager
def nequip_state():
    """nequip sets the default dtype of torch for the whole process; other tests must not see it."""
    from nequip.utils.global_state import set_global_state

    before = torch.get_default_dtype()
    try:
        set_global_state()
        yield
    finally:
        torch.set_default_dtype(before)


def weights_of(theirs):
    """The state dict of one of nequip's models, names without prefix."""
    return {name.removeprefix("model.func."): tensor for name, tensor in theirs.state_dict().items()}


def evaluate(theirs, ours, atoms, r_max, species):
    """Our prediction and their dictionary, for one structure on the same graph."""
    graph = build_graph(atoms, r_max, species)
    mine = ours(*graph.inputs)
    cell = graph.cell if bool(graph.cell.any()) else torch.eye(3, dtype=torch.float64).unsqueeze(0)
    other = theirs(
        {
            "pos": graph.positions,
            "edge_index": graph.edge_index,
            "edge_cell_shift": graph.edge_shift,
            "cell": cell,
            "pbc": torch.tensor(np.array([atoms.pbc])),
            "atom_types": graph.species,
            "batch": graph.batch,
            "num_atoms": graph.num_atoms,
        }
    )
    return mine, other


def assert_equal(mine, theirs, tolerance):
    assert mine.shape == theirs.shape
    assert (mine - theirs).abs().max() <= tolerance * theirs.abs().max()


def assert_same_numbers(mine, other, tolerance):
    """Our prediction against their dictionary."""
    assert_equal(mine.energy, other["total_energy"].view(-1), tolerance)
    assert_equal(mine.atomic_energies, other["atomic_energy"].view(-1), tolerance)
    assert_equal(mine.forces, other["forces"], tolerance)
    assert_equal(mine.virial, other["virial"], tolerance)

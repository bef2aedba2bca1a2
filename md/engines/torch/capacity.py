"""How many systems fit into one batch."""

from collections.abc import Sequence

import numpy as np
import torch

from md.engines.torch.neighbors import Neighbors
from md.engines.torch.potential import BatchedPotential
from md.engines.torch.systems import Systems
from md.state import State
from mlip.data.graph import species_index
from mlip.deploy import MLIPCalculator

# A CPU gains nothing from larger batches (benchmarks/md_speed.py), which only take memory.
_ATOMS_AT_ONCE_ON_CPU = 4096
_SHARE_OF_MEMORY = 0.8


def fitting_systems(calculator: MLIPCalculator, states: Sequence[State]) -> int:
    """How many systems as large as the largest fit.

    On a GPU the forces of the largest are computed once, and the memory that took is compared with what is
    free.

    Args:
        calculator: The potential.
        states: All systems of a run.
    """
    largest = max(states, key=lambda state: len(state.numbers))
    if calculator.device.type == "cpu":
        return max(1, _ATOMS_AT_ONCE_ON_CPU // len(largest.numbers))
    device = calculator.device
    species = torch.as_tensor(species_index(largest.to_atoms(), calculator.species), device=device)
    pbc = torch.as_tensor(np.asarray(largest.pbc)[None], device=device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    BatchedPotential(calculator, Neighbors(calculator, species, pbc))(Systems.of_states([largest], device))
    taken = torch.cuda.max_memory_allocated(device) - before
    free, _ = torch.cuda.mem_get_info(device)
    return max(1, int(_SHARE_OF_MEMORY * free / taken))

"""A cell list in plain torch: many structures at once, on the device where their atoms are.

The way of `neighbors.py` for a GPU: time and memory grow with the number of atoms, cells may differ, be
skewed or smaller than the cutoff, and the edges come in the same order.

Source: Allen & Tildesley, Computer Simulation of Liquids, 2017, section 5.3.2, for cell lists.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mlip.data.neighbors import complete_cell
from mlip.errors import DataError

# Pairs of atoms looked at in one go, some 150 bytes each.
_PAIRS_AT_ONCE = 2**23
# Bins along one direction: their numbers must fit into 64 bits together.
_MOST_BINS = 2**16


@dataclass(frozen=True)
class _Grid:
    """Bins half as wide as the cutoff or a little wider, and the atoms in them.

    Attributes:
        bins: (B, 3) how many along each direction.
        reach: (B, 3) how many bins away a neighbor may be.
        is_open: (B, 3) directions without images.
        first_bin: (B,) number of the first bin of each structure.
        bin: (N, 3) where each atom is.
        wrap: (N, 3) lattice translations that each atom is away from its place in the cell.
    """

    bins: Tensor
    reach: Tensor
    is_open: Tensor
    first_bin: Tensor
    bin: Tensor
    wrap: Tensor

    def number(self, place: Tensor, structure: Tensor) -> Tensor:
        """Number of the bin at a place (R, 3) of a structure (R,)."""
        bins = self.bins[structure]
        row = place[:, 0] * bins[:, 1] + place[:, 1]
        return self.first_bin[structure] + row * bins[:, 2] + place[:, 2]


def batched_neighbor_list(
    positions: Tensor, cell: Tensor, pbc: Tensor, batch: Tensor, r_max: float
) -> tuple[Tensor, Tensor]:
    """Find all ordered pairs of atoms of the same structure closer than `r_max`, periodic images included.

    What `neighbor_list` finds for each structure, in the same order. A few numbers are copied to the host.

    Args:
        positions: (N, 3) A, float64.
        cell: (B, 3, 3) rows are lattice vectors, A; those of open directions are not used.
        pbc: (B, 3) bool, which directions are periodic.
        batch: (N,) structure of each atom.
        r_max: Cutoff radius, A.

    Returns:
        `edge_index` (2, E), int64, and `edge_shift` (E, 3), float64: sorted by centre, then neighbor, then
        translation.

    Raises:
        DataError: A periodic direction has no extent, or positions are not finite.
    """
    grid = _lay_out(positions, cell, pbc, batch, r_max)
    numbers, order = torch.sort(grid.number(grid.bin, batch), stable=True)
    fullest = int(torch.unique_consecutive(numbers, return_counts=True)[1].max())
    most_bins = int((2 * grid.reach + 1).prod(dim=1).max())
    step = max(_PAIRS_AT_ONCE // (fullest * most_bins), 1)
    parts = []
    for atoms in torch.arange(len(batch), device=batch.device).split(step):
        edge_index, shift = _candidates(atoms, grid, batch, numbers, order)
        vectors = positions[edge_index[1]] - positions[edge_index[0]]
        vectors = vectors + torch.bmm(shift.unsqueeze(1), cell[batch[edge_index[0]]]).squeeze(1)
        near = vectors.square().sum(dim=1) < r_max**2
        near &= (edge_index[0] != edge_index[1]) | shift.any(dim=1)  # no atom is its own neighbor
        parts.append(_sorted(edge_index[:, near], shift[near], len(batch)))
    return torch.cat([part[0] for part in parts], dim=1), torch.cat([part[1] for part in parts])


def _lay_out(positions: Tensor, cell: Tensor, pbc: Tensor, batch: Tensor, r_max: float) -> _Grid:
    """Choose the bins on the host, which the cells and the extents of the atoms are copied to."""
    periodic = pbc.cpu().numpy()
    boxes = np.stack([complete_cell(*each) for each in zip(cell.cpu().numpy(), periodic, strict=True)])
    inverses = np.linalg.inv(boxes)
    fractional = torch.bmm(positions.unsqueeze(1), _like(inverses, positions)[batch]).squeeze(1)
    lowest, highest = _extents(fractional, batch, len(boxes))
    start = np.where(periodic, 0.0, lowest)
    span = np.where(periodic | (highest == lowest), 1.0, highest - lowest)
    lengths = np.where(periodic, 1.0, highest - lowest) / np.linalg.norm(inverses, axis=1)
    bins = np.clip(np.floor(2.0 * lengths / r_max), 1, _MOST_BINS)
    reach = np.ceil(r_max / np.maximum(lengths / bins, 1e-6 * r_max))
    reach = np.where(periodic, reach, np.minimum(reach, bins - 1))

    relative = (fractional - _like(start, positions)[batch]) / _like(span, positions)[batch]
    wrap = relative.floor() * _like(periodic, positions)[batch]
    places = torch.as_tensor(bins, dtype=torch.int64, device=positions.device)
    last = places[batch] - 1
    volumes = bins.astype(np.int64).prod(axis=1)
    first_bin = np.cumsum(volumes) - volumes
    return _Grid(
        bins=places,
        reach=torch.as_tensor(reach, dtype=torch.int64, device=positions.device),
        is_open=torch.as_tensor(~periodic, device=positions.device),
        first_bin=torch.as_tensor(first_bin, dtype=torch.int64, device=positions.device),
        bin=((relative - wrap) * (last + 1)).long().clamp_min(0).minimum(last),
        wrap=wrap,
    )


def _like(array: np.ndarray, positions: Tensor) -> Tensor:
    return torch.as_tensor(array, dtype=positions.dtype, device=positions.device)


def _extents(fractional: Tensor, batch: Tensor, num_structures: int) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest coordinates (B, 3) of the atoms of each structure, on the host."""
    rows = batch.unsqueeze(1).expand(-1, 3)
    empty = fractional.new_zeros(num_structures, 3)
    lowest, highest = (
        empty.scatter_reduce(0, rows, fractional, extreme, include_self=False).cpu().numpy()
        for extreme in ("amin", "amax")
    )
    if not np.isfinite(highest - lowest).all():
        raise DataError("found positions that are not finite; expected numbers in A: an atom was lost")
    return lowest, highest


def _candidates(
    atoms: Tensor, grid: _Grid, batch: Tensor, numbers: Tensor, order: Tensor
) -> tuple[Tensor, Tensor]:
    """Centre and neighbor (2, P), and translations (P, 3), of all pairs in bins within reach.

    Args:
        atoms: (A,) the centres.
        grid: The bins.
        batch: (N,) structure of each atom.
        numbers: (N,) of the bins of all atoms, sorted.
        order: (N,) the atoms in that order.
    """
    sides = 2 * grid.reach + 1
    centre, around = _expand(sides.prod(dim=1)[batch[atoms]])
    centre = atoms[centre]
    structure = batch[centre]
    side = sides[structure]
    offset = torch.stack(
        [around // (side[:, 1] * side[:, 2]), around // side[:, 2] % side[:, 1], around % side[:, 2]], dim=1
    )
    place = grid.bin[centre] + offset - grid.reach[structure]
    bins = grid.bins[structure]
    image = torch.div(place, bins, rounding_mode="floor")
    number = grid.number(place - image * bins, structure)
    first, end = torch.searchsorted(numbers, number), torch.searchsorted(numbers, number, right=True)
    is_outside = (grid.is_open[structure] & (image != 0)).any(dim=1)
    visited, slot = _expand((end - first).masked_fill(is_outside, 0))
    centre, neighbor = centre[visited], order[first[visited] + slot]
    return torch.stack([centre, neighbor]), image[visited] - grid.wrap[neighbor] + grid.wrap[centre]


def _expand(counts: Tensor) -> tuple[Tensor, Tensor]:
    """Rows 0, 1, ... as often as `counts` says, and how often each stood there before."""
    rows = torch.repeat_interleave(counts)
    before = counts.cumsum(0) - counts
    return rows, torch.arange(len(rows), device=counts.device) - before[rows]


def _sorted(edge_index: Tensor, edge_shift: Tensor, num_atoms: int) -> tuple[Tensor, Tensor]:
    """Edges by centre, then neighbor; translations of a pair were visited in their order already."""
    order = torch.sort(edge_index[0] * num_atoms + edge_index[1], stable=True).indices
    return edge_index[:, order], edge_shift[order]

"""Which structures to label: those that enlarge what a potential was trained on, by its extrapolation grade.

In the coordinates c = h M of the grade the active set of a species is the unit matrix, so MaxVol on [active
set; candidates] needs nothing of the training data but the fitted grade.

A label is of a whole structure, so structures are taken whole: the one with the atom of the highest grade
comes first, all of its atoms may enter the active sets, and the others are judged against these. Row by row,
several frames of one event, femtoseconds apart, would each supply some atom, and each would be paid for.

Source: Podryabinkin & Shapeev 2017 (10.1016/j.commatsci.2017.08.031), section 2.3, for selection by MaxVol.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mlip.models.grade import ExtrapolationGrade
from mlip.models.grade_fit import DescribedAtoms, rows_by_species
from mlip.models.maxvol import DOMINANCE, swap_rows


@dataclass(frozen=True)
class Selection:
    """Structures worth labelling.

    Attributes:
        supplied: Those with atoms in the enlarged active sets, ascending.
        chosen: As many of them as there is a budget for, the farthest from the training data first.
    """

    supplied: tuple[int, ...]
    chosen: tuple[int, ...]


def select_structures(
    grade: ExtrapolationGrade,
    candidates: DescribedAtoms,
    budget: int | None = None,
    known: float = DOMINANCE,
) -> Selection:
    """Select candidates by MaxVol, and by farthest-point sampling those for which there is a budget.

    An atom is supplied by a structure if it is in the active set after all swaps, or if it sticks out of the
    directions that training and the atoms supplied before span by more than any training atom did.

    Args:
        grade: Fitted to the training data, on the CPU.
        candidates: All atoms of the candidates, on the CPU.
        budget: The most structures to choose; None for all that are supplied.
        known: Grade up to which an atom counts as known: a structure is taken only if one of its atoms is
            beyond, judged with the structures taken before. Never below `DOMINANCE`.
    """
    pools = [
        _Pool(grade, z, rows, candidates.batch[candidates.species == z])
        for z, rows in rows_by_species(candidates, len(grade.num_atoms))
    ]
    _take_structures(pools, max(known, DOMINANCE))
    structures = [k for pool in pools for k in pool.structures[pool.supplied].tolist()]
    if not structures:
        return Selection((), ())
    coordinates = torch.cat([pool.coordinates[pool.supplied] for pool in pools])
    species = [z for z, pool in enumerate(pools) for _ in pool.supplied]
    order = _farthest_first(coordinates, structures, species, _distances_to_active(coordinates))
    return Selection(tuple(sorted(set(structures))), tuple(order[:budget]))


class _Pool:
    """Candidate atoms of a species, judged against an active set that takes some of them in.

    Attributes:
        coordinates: (n, 2F) by the given grade, inside and outside of what training spanned.
        structures: (n,) structure of each atom.
    """

    def __init__(self, grade: ExtrapolationGrade, z: int, rows: Tensor, structures: Tensor) -> None:
        inside, outside = rows @ grade.maps[z], rows @ grade.projectors[z] / grade.residual_scales[z]
        self.coordinates, self.structures = torch.cat([inside, outside], dim=1), structures
        self._inside = inside[:, : int(grade.maps[z].any(dim=0).sum())]
        self._outside = outside
        self._places: dict[int, int] = {}
        self._axes: list[int] = []

    @property
    def supplied(self) -> list[int]:
        """Atoms in the active set, and those that span what it did not."""
        return sorted({*self._places.values(), *self._axes})

    def farthest(self) -> tuple[float, int]:
        """The highest grade, and the structure that has it."""
        outside = torch.linalg.vector_norm(self._outside, dim=1, keepdim=True)
        grades = torch.cat([self._inside.abs(), outside], dim=1).amax(dim=1)
        row = int(grades.argmax())
        return float(grades[row]), int(self.structures[row])

    def take(self, structure: int) -> None:
        """Swap atoms of a structure in until none of them would enlarge the volume."""
        rows = torch.nonzero(self.structures == structure).view(-1)
        unit = torch.eye(self._inside.shape[1], dtype=self._inside.dtype)
        _, inverse, swaps = swap_rows(unit, unit, self._inside[rows])
        self._inside = self._inside @ inverse
        self._places |= {place: int(rows[row]) for row, place in swaps}
        for _ in range(self._outside.shape[1]):
            lengths = self._outside[rows].norm(dim=1)
            if not lengths.numel() or not lengths.max() > DOMINANCE:
                break
            row = int(rows[lengths.argmax()])
            axis = self._outside[row] / lengths.max()
            for _ in range(2):  # once loses orthogonality where lengths differ by many orders
                self._outside = self._outside - torch.outer(self._outside @ axis, axis)
            self._axes.append(row)


def _take_structures(pools: Sequence[_Pool], known: float) -> None:
    """Take structures, each time the one of the highest grade, until all are known."""
    while pools:
        highest, structure = max(pool.farthest() for pool in pools)
        if not highest > known:
            return
        for pool in pools:
            pool.take(structure)


def _distances_to_active(coordinates: Tensor) -> Tensor:
    """Distance of each row (n, 2F) from the nearest of the active set, unit vectors of the first F."""
    to_origin = coordinates.square().sum(dim=1)
    largest = coordinates[:, : coordinates.shape[1] // 2].amax(dim=1)
    return (to_origin + 1.0 - 2.0 * largest).clamp_min(0.0).sqrt()


def _farthest_first(
    coordinates: Tensor, structures: Sequence[int], species: Sequence[int], distances: Tensor
) -> list[int]:
    """Structures by the distance of their farthest atom from all atoms of its species taken before it."""
    owner, kind = torch.tensor(structures), torch.tensor(species)
    order: list[int] = []
    is_free = torch.ones(len(owner), dtype=torch.bool)
    while bool(is_free.any()):
        structure = int(owner[distances.where(is_free, -1.0).argmax()])
        order.append(structure)
        taken = owner == structure
        is_free &= ~taken
        between = torch.cdist(coordinates, coordinates[taken])
        between = between.masked_fill(kind[:, None] != kind[taken][None, :], torch.inf)
        distances = torch.minimum(distances, between.amin(dim=1))
    return order

"""Which structures to label: those that enlarge what a potential was trained on, by its extrapolation grade.

In the coordinates c = h M of the grade the active set of a species is the unit matrix, so MaxVol on [active
set; candidates] needs nothing of the training data but the fitted grade.

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
    grade: ExtrapolationGrade, candidates: DescribedAtoms, budget: int | None = None
) -> Selection:
    """Select candidates by MaxVol, and by farthest-point sampling those for which there is a budget.

    An atom is supplied by a structure if it is in the active set after all swaps, or if it sticks out of the
    directions that training and the atoms supplied before span by more than any training atom did.

    Args:
        grade: Fitted to the training data, on the CPU.
        candidates: All atoms of the candidates, on the CPU.
        budget: The most structures to choose; None for all that are supplied.
    """
    coordinates, structures, species = [], [], []
    for z, rows in rows_by_species(candidates, len(grade.num_atoms)):
        of_structure = candidates.batch[candidates.species == z]
        rank = int(grade.maps[z].any(dim=0).sum())
        inside = rows @ grade.maps[z]
        outside = rows @ grade.projectors[z] / grade.residual_scales[z]
        atoms = sorted({*_swapped_in(inside[:, :rank]), *_sticking_out(outside)})
        coordinates.append(torch.cat([inside, outside], dim=1)[atoms])
        structures += of_structure[atoms].tolist()
        species += [z] * len(atoms)
    supplied = tuple(sorted(set(structures)))
    if not supplied:
        return Selection((), ())
    distances = _distances_to_active(torch.cat(coordinates))
    order = _farthest_first(torch.cat(coordinates), structures, species, distances)
    return Selection(supplied, tuple(order[:budget]))


def _swapped_in(coefficients: Tensor) -> list[int]:
    """Rows (n, r) that are in the active set after MaxVol; before it the active set is the unit matrix."""
    unit = torch.eye(coefficients.shape[1], dtype=coefficients.dtype)
    _, _, swaps = swap_rows(unit, unit, coefficients)
    return list({place: row for row, place in swaps}.values())  # a later swap takes an earlier one's place


def _sticking_out(outside: Tensor) -> list[int]:
    """Rows (n, F) longer than 1 beyond the span of those before them, the longest first."""
    residual, chosen = outside.clone(), []
    for _ in range(outside.shape[1]):
        lengths = residual.norm(dim=1)
        row = int(lengths.argmax())
        if not lengths[row] > DOMINANCE:
            break
        axis = residual[row] / lengths[row]
        for _ in range(2):  # once loses orthogonality where lengths differ by many orders
            residual = residual - torch.outer(residual @ axis, axis)
        chosen.append(row)
    return chosen


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

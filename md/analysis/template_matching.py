"""Which atoms stand as in a crystal: their surroundings laid over those of perfect lattices."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from md.analysis.lattice_templates import Template, centre_and_scale, lattice_templates, standard_triads
from md.analysis.pairs import find_nearest

AMORPHOUS = "amorphous"
LARGEST_DEVIATION = 0.15
_CHUNK = 1000


@dataclass(frozen=True)
class LatticeMatch:
    """The lattice that each atom's surroundings are most like.

    Attributes:
        value: share of the atoms that are in some lattice.
        names: fcc, hcp, bcc, sc, or amorphous where no deviation is small enough, shape (N,).
        deviations: root mean square deviation from the best lattice, in mean distances of neighbors, (N,).
        shares: name -> share of the atoms.
        method: how they were matched.
    """

    value: float
    names: np.ndarray
    deviations: np.ndarray
    shares: dict[str, float]
    method: str

    unit = "share of atoms"


def match_lattices(
    fractional: np.ndarray, cell: np.ndarray, largest_deviation: float = LARGEST_DEVIATION
) -> LatticeMatch:
    """Classify atoms by the perfect surroundings with the least deviation, over shifts, turns and scale.

    Polyhedral template matching, with one difference: which neighbor is which point of the template is found
    by turning the template into every orientation that two of the neighbors allow and pairing the nearest,
    in place of matching graphs of convex hulls.

    Args:
        fractional: fractional coordinates of the sublattice, shape (N, 3), such as those of the anions.
        cell: lattice vectors as rows, shape (3, 3), A.
        largest_deviation: beyond this an atom is amorphous.

    Source:
        Larsen, Schmidt, Schiotz, Modelling Simul. Mater. Sci. Eng. 24, 055007 (2016),
        10.1088/0965-0393/24/5/055007.
    """
    templates = lattice_templates()
    most = max(template.num_neighbors for template in templates)
    _, vectors = find_nearest(fractional, cell, most)
    deviations = np.stack([_deviations(vectors[:, : t.num_neighbors], t) for t in templates], axis=1)
    best = np.argmin(deviations, axis=1)
    least = deviations[np.arange(len(best)), best]
    names = np.where(least <= largest_deviation, np.array([t.name for t in templates])[best], AMORPHOUS)
    kinds = (*(t.name for t in templates), AMORPHOUS)
    shares = {name: float(np.mean(names == name)) for name in kinds}
    method = (
        f"least root mean square deviation from {', '.join(t.name for t in templates)}, at most "
        f"{largest_deviation:g} of the mean distance (after Larsen 2016)"
    )
    return LatticeMatch(1.0 - shares[AMORPHOUS], names, least, shares, method)


def _deviations(vectors: np.ndarray, template: Template) -> np.ndarray:
    """Least deviation of each atom's neighbors, shape (N, k, 3), from a template, shape (N,)."""
    parts = [
        _deviations_of_some(vectors[start : start + _CHUNK], template)
        for start in range(0, len(vectors), _CHUNK)
    ]
    return np.concatenate(parts)


def _deviations_of_some(vectors: np.ndarray, template: Template) -> np.ndarray:
    count = len(vectors)
    points = centre_and_scale(np.concatenate([vectors, np.zeros((count, 1, 3))], axis=1))
    triads = _own_triads(vectors)
    # template = point @ turn: from the atom's axes into those of two points of the template
    turns = np.einsum("nai,caj->ncij", triads, template.starts)
    turned = np.einsum("nki,ncij->nckj", points, turns)
    squares = (
        (turned**2).sum(-1)[..., None]
        + (template.points**2).sum(-1)
        - 2 * np.einsum("nckj,mj->nckm", turned, template.points)
    )
    choice = np.argmin(squares.min(axis=3).sum(axis=2), axis=1)
    costs = squares[np.arange(count), choice]
    for _ in range(2):
        pairing = _pair(costs)
        turn, deviation = _superpose(points, template.points[pairing])
        turned = np.einsum("nki,nij->nkj", points, turn)
        costs = ((turned[:, :, None] - template.points) ** 2).sum(-1)
    return deviation


def _own_triads(vectors: np.ndarray) -> np.ndarray:
    """Axes from each atom's nearest neighbor and the one most at a right angle to it, shape (N, 3, 3)."""
    directions = vectors / np.linalg.norm(vectors, axis=2, keepdims=True)
    cosines = np.abs(np.einsum("ni,nki->nk", directions[:, 0], directions))
    second = np.argmin(cosines, axis=1)
    return standard_triads(vectors[:, 0], vectors[np.arange(len(vectors)), second])


def _pair(costs: np.ndarray) -> np.ndarray:
    """The point of the template that each neighbor is, shape (N, k + 1); each point once."""
    pairing = np.argmin(costs, axis=2)
    size = costs.shape[1]
    is_clear = (np.sort(pairing, axis=1) == np.arange(size)).all(axis=1)
    for atom in np.flatnonzero(~is_clear):
        pairing[atom] = linear_sum_assignment(costs[atom])[1]
    return pairing


def _superpose(points: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Turns that lay points best over targets, shape (N, 3, 3), and the deviation left, the best scale in it.

    Source:
        Umeyama, IEEE Trans. Pattern Anal. Mach. Intell. 13, 376 (1991), 10.1109/34.88573.
    """
    left, singular, right = np.linalg.svd(np.einsum("nki,nkj->nij", points, targets))
    handed = np.linalg.det(left @ right)
    signs = np.stack([np.ones_like(handed), np.ones_like(handed), np.sign(handed)], axis=1)
    turns = (left * signs[:, None]) @ right
    overlap = (singular * signs).sum(axis=1)
    scale = overlap / (points**2).sum(axis=(1, 2))
    left_over = (targets**2).sum(axis=(1, 2)) - scale * overlap
    return turns, np.sqrt(np.maximum(left_over, 0.0) / points.shape[1])

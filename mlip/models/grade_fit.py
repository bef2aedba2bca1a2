"""Fit of the extrapolation grade: passes over batches of descriptors, never all of them in memory.

Per species z with training descriptors H (n, F):

1. (1/n) H^T H = V L V^T; directions with l_k > 1e-8 l_1 count as spanned; P = V_r L_r^(-1/2), X = H P.
2. Active rows A of X: pivoted rows of [A; batch], batch after batch; then swaps until a whole pass has none.
3. M = P A^-1; R = 1 - V_r V_r^T; r_z the largest |h R|, not below the resolution of step 1.
"""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from mlip.errors import MlipError
from mlip.models.grade import ExtrapolationGrade
from mlip.models.maxvol import pivot_rows, swap_rows

logger = logging.getLogger(__name__)

# Eigenvalues below this share of the largest are directions that training did not span.
RANK_TOLERANCE = 1e-8


class DescribedAtoms(NamedTuple):
    """Atoms of some structures, as their model sees them.

    Attributes:
        descriptors: (n, F) in the dtype of the model.
        species: (n,) index into the potential's species.
        batch: (n,) structure of each atom, counted from 0 in each batch.
    """

    descriptors: Tensor
    species: Tensor
    batch: Tensor


def fit_grade(batches: Iterable[DescribedAtoms], num_species: int) -> ExtrapolationGrade:
    """Fit the grade to the descriptors of all training atoms.

    Args:
        batches: Some atoms at a time; gone through several times.
        num_species: Number T of species of the potential.

    Raises:
        MlipError: A descriptor is not a number, or there is no batch.
    """
    grams, num_atoms = _accumulate(batches, num_species)
    subspaces = [_spanned(gram, int(n)) for gram, n in zip(grams, num_atoms, strict=True)]
    active, residuals = _first_active(batches, subspaces)
    inverses = _dominate(batches, subspaces, active)
    width = grams.shape[1]
    maps = torch.zeros_like(grams)
    for z, (subspace, inverse) in enumerate(zip(subspaces, inverses, strict=True)):
        maps[z, :, : subspace.rank] = subspace.whitening @ inverse
    logger.info("extrapolation grade: %s of %d directions spanned", [s.rank for s in subspaces], width)
    projectors = torch.stack([subspace.projector for subspace in subspaces])
    scales = torch.stack([torch.maximum(r, s.resolution) for r, s in zip(residuals, subspaces, strict=True)])
    return ExtrapolationGrade(maps, projectors, scales, num_atoms)


@dataclass(frozen=True)
class _Subspace:
    """What the atoms of a species span: P (F, r), R (F, F), and the smallest length told from rounding."""

    whitening: Tensor
    projector: Tensor
    resolution: Tensor

    @property
    def rank(self) -> int:
        return self.whitening.shape[1]


def _accumulate(batches: Iterable[DescribedAtoms], num_species: int) -> tuple[Tensor, Tensor]:
    """H^T H (T, F, F) and the number of atoms (T,) of each species."""
    grams: Tensor | None = None
    num_atoms = torch.zeros(num_species, dtype=torch.int64)
    for atoms in batches:
        if grams is None:
            width = atoms.descriptors.shape[1]
            grams = atoms.descriptors.new_zeros((num_species, width, width), dtype=torch.float64)
            num_atoms = num_atoms.to(atoms.species.device)
        num_atoms += torch.bincount(atoms.species, minlength=num_species)
        for z, rows in rows_by_species(atoms, num_species):
            grams[z] += rows.T @ rows
    if grams is None or not bool(torch.isfinite(grams).all()):
        raise MlipError(
            "found training atoms without finite descriptors; expected numbers: the model has diverged, "
            "train again with a lower optimizer.lr"
        )
    return grams, num_atoms


def _spanned(gram: Tensor, num_atoms: int) -> _Subspace:
    eigenvalues, vectors = torch.linalg.eigh(gram / max(num_atoms, 1))
    largest = eigenvalues[-1].clamp_min(0.0)
    is_spanned = eigenvalues > RANK_TOLERANCE * largest
    spanned = vectors[:, is_spanned]
    identity = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    projector = identity - spanned @ spanned.T if spanned.shape[1] < len(gram) else torch.zeros_like(gram)
    # Without any signal (lone atoms have zero descriptors) the scale of features, which is 1, decides.
    rms = largest.sqrt() if bool(largest > 0.0) else torch.ones_like(largest)
    return _Subspace(spanned / eigenvalues[is_spanned].sqrt(), projector, RANK_TOLERANCE**0.5 * rms)


def _first_active(
    batches: Iterable[DescribedAtoms], subspaces: list[_Subspace]
) -> tuple[list[Tensor], list[Tensor]]:
    """A start for the active rows (r, r) of each species, and the largest |h R| of its atoms."""
    active = [subspace.whitening.new_zeros((0, subspace.rank)) for subspace in subspaces]
    residuals = [torch.zeros_like(subspace.resolution) for subspace in subspaces]
    for atoms in batches:
        for z, rows in rows_by_species(atoms, len(subspaces)):
            largest = torch.linalg.vector_norm(rows @ subspaces[z].projector, dim=1).amax()
            residuals[z] = torch.maximum(residuals[z], largest)
            candidates = torch.cat([active[z], rows @ subspaces[z].whitening])
            count = min(subspaces[z].rank, len(candidates))
            active[z] = candidates.index_select(0, pivot_rows(candidates, count))
    return active, residuals


def _dominate(
    batches: Iterable[DescribedAtoms], subspaces: list[_Subspace], active: list[Tensor]
) -> list[Tensor]:
    """Inverses of active rows that no row of any batch dominates."""
    inverses = [torch.linalg.inv(rows) for rows in active]
    total, swaps = 0, 1
    while swaps > 0:
        swaps = 0
        for atoms in batches:
            for z, rows in rows_by_species(atoms, len(subspaces)):
                candidates = rows @ subspaces[z].whitening
                active[z], inverses[z], swapped = swap_rows(active[z], inverses[z], candidates)
                swaps += len(swapped)
        total += swaps
    logger.info("extrapolation grade: %d rows swapped into the active sets", total)
    return inverses


def rows_by_species(atoms: DescribedAtoms, num_species: int) -> Iterator[tuple[int, Tensor]]:
    """Each species in a batch with the descriptors of its atoms, float64."""
    for z in range(num_species):
        rows = torch.nonzero(atoms.species == z).view(-1)
        if len(rows) > 0:
            yield z, atoms.descriptors.index_select(0, rows).to(torch.float64)

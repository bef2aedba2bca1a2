"""Rows of a tall matrix that span the largest volume, found block by block.

Source: Goreinov, Oseledets, Savostyanov, Tyrtyshnikov, Zamarashkin 2010 (10.1142/9789812836021_0015).
"""

import torch
from torch import Tensor

# A swap must win this factor of volume: afterwards no coefficient of any row is larger.
DOMINANCE = 1.01


def pivot_rows(rows: Tensor, count: int) -> Tensor:
    """Choose rows greedily, each time the one that sticks out most from the span of those chosen.

    This is what a QR decomposition with column pivoting does to the transpose; as plain products it runs on
    any device.

    Args:
        rows: (n, r).
        count: How many, at most n.

    Returns:
        (count,) indices, in the order of choice.
    """
    residual = rows.clone()
    is_free = torch.ones(len(rows), dtype=torch.bool, device=rows.device)
    chosen = torch.zeros(count, dtype=torch.int64, device=rows.device)
    for k in range(count):
        lengths = residual.square().sum(dim=1).where(is_free, -1.0)
        chosen[k] = lengths.argmax()
        axis = residual.index_select(0, chosen[k : k + 1])
        axis = axis / axis.norm().clamp_min(torch.finfo(rows.dtype).tiny)
        for _ in range(2):  # once loses orthogonality where the row was nearly in the span
            residual = residual - (residual @ axis.T) @ axis
        is_free[chosen[k]] = False
    return chosen


def swap_rows(active: Tensor, inverse: Tensor, rows: Tensor) -> tuple[Tensor, Tensor, list[tuple[int, int]]]:
    """Swap rows into the active set until none has a coefficient above `DOMINANCE`.

    A swap of row i for the active row j multiplies the volume by |C_ij|, C = rows @ inverse.

    Args:
        active: (r, r) the active rows.
        inverse: (r, r) of `active`.
        rows: (n, r) candidates.

    Returns:
        The active rows and their inverse after it, and the swaps in order: row, place in the active set.
    """
    swaps: list[tuple[int, int]] = []
    while True:
        swapped = _swaps(rows @ inverse)
        if not swapped:
            return active, inverse, swaps
        swaps += swapped
        active = active.clone()
        for row, at in swapped:
            active[at] = rows[row]
        inverse = torch.linalg.inv(active)  # afresh, so that rounding of the updates cannot pile up


def _swaps(coefficients: Tensor) -> list[tuple[int, int]]:
    """Swaps (row, place in the active set) in order; each updates C by -C_:j (C_i: - e_j) / C_ij."""
    swapped: list[tuple[int, int]] = []
    while coefficients.numel() > 0:
        row, at = divmod(int(coefficients.abs().argmax()), coefficients.shape[1])
        pivot = float(coefficients[row, at])
        if not abs(pivot) > DOMINANCE:
            break
        difference = coefficients[row].clone()
        difference[at] -= 1.0
        coefficients = coefficients - coefficients[:, at : at + 1] * (difference / pivot)
        swapped.append((row, at))
    return swapped

"""Real spherical harmonics of edge directions."""

import math
from fractions import Fraction
from itertools import combinations_with_replacement, pairwise

import torch
from e3nn import o3
from torch import Tensor, nn


class SphericalHarmonics(nn.Module):
    """Real spherical harmonics up to l_max of the edge directions, "component" normalised.

    Y_l is a homogeneous polynomial of degree l: monomials times a constant matrix.

    Args:
        l_max: Highest degree.
        dtype: Of the result; directions and polynomials stay float64.

    Attributes:
        irreps: 1x0e + 1x1o + 1x2e + ... (component order and signs of e3nn).
    """

    counts: list[int]
    parents: Tensor
    axes: Tensor
    coefficients: Tensor

    def __init__(self, l_max: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.irreps = o3.Irreps.spherical_harmonics(l_max)
        self.dtype = dtype
        degrees = [_monomials(degree) for degree in range(l_max + 1)]
        self.counts = [len(monomials) for monomials in degrees[1:]]
        # A monomial of degree l is one of degree l - 1 times its last axis.
        parents = [lower.index(m[:-1]) for lower, upper in pairwise(degrees) for m in upper]
        axes = [m[-1] for upper in degrees[1:] for m in upper]
        self.register_buffer("parents", torch.tensor(parents, dtype=torch.int64), persistent=False)
        self.register_buffer("axes", torch.tensor(axes, dtype=torch.int64), persistent=False)
        self.matrices = [_polynomial_matrix(degree, monomials) for degree, monomials in enumerate(degrees)]
        self.register_buffer("coefficients", torch.block_diag(*self.matrices), persistent=False)

    def forward(self, edge_vec: Tensor) -> Tensor:
        """Harmonics (E, (l_max + 1)^2) of edge vectors (E, 3) whose lengths are not zero."""
        direction = edge_vec / torch.linalg.vector_norm(edge_vec, dim=1, keepdim=True)
        monomials = [torch.ones_like(direction.narrow(1, 0, 1))]
        start = 0
        for count in self.counts:
            parent = monomials[-1].index_select(1, self.parents.narrow(0, start, count))
            monomials.append(parent * direction.index_select(1, self.axes.narrow(0, start, count)))
            start += count
        return (torch.cat(monomials, dim=1) @ self.coefficients).to(self.dtype)


def _monomials(degree: int) -> list[tuple[int, ...]]:
    """Monomials in x, y, z of one degree, each as its sorted axes."""
    return list(combinations_with_replacement(range(3), degree))


def _polynomial_matrix(degree: int, monomials: list[tuple[int, ...]]) -> Tensor:
    """(number of monomials, 2 degree + 1) coefficients of e3nn's harmonics, the same bits each time."""
    points = torch.randn(
        8 * len(monomials), 3, dtype=torch.float64, generator=torch.Generator().manual_seed(degree)
    )
    points = points / points.norm(dim=1, keepdim=True)
    values = torch.stack([points[:, list(m)].prod(dim=1) for m in monomials], dim=1)
    harmonics = o3.spherical_harmonics(degree, points, normalize=False, normalization="component")
    fitted = torch.linalg.lstsq(values, harmonics).solution
    return torch.tensor([[_exact(c) for c in row] for row in fitted.tolist()], dtype=torch.float64)


def _exact(coefficient: float) -> float:
    """The root of a simple fraction that a fitted coefficient is, but for rounding."""
    root = math.sqrt(Fraction(coefficient**2).limit_denominator(256))
    return math.copysign(root, coefficient) if root else 0.0

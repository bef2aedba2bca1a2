"""Which tensor-product paths a layer has, and the module that evaluates them along edges."""

from dataclasses import dataclass

import torch
from e3nn import o3
from torch import Tensor, nn

from mlip.nn.kernels import interaction


@dataclass(frozen=True)
class Path:
    """One `uvu` path: input irrep x spherical harmonic -> output irrep, for `mul` channels."""

    block: int
    harmonic: int
    irrep: o3.Irrep
    mul: int


def find_paths(features: o3.Irreps, harmonics: o3.Irreps, wanted: o3.Irreps) -> list[Path]:
    """All paths from features and harmonics to an irrep of `wanted`, in nequip's order of creation."""
    return [
        Path(i, j, ir_out, mul)
        for i, (mul, ir_in) in enumerate(features)
        for j, (_, ir_edge) in enumerate(harmonics)
        for ir_out in ir_in * ir_edge
        if ir_out in wanted
    ]


class EdgeTensorProduct(nn.Module):
    """Weighted tensor product of neighbours' features with the edges' harmonics, summed at the centre.

    Args:
        features: Irreps of the node features.
        harmonics: Irreps of the edge harmonics.
        wanted: Irreps that the result may contain.
        dtype: Of the coefficients.

    Attributes:
        irreps_out: Irreps of the result, sorted and merged; within an irrep channels follow the paths.
        num_weights: Radial weights per edge.

    Source: nequip 0.19 `InteractionBlock`; path normalisation sqrt(2 l + 1) ("component").
    """

    blocks: list[tuple[int, int, int, int]]
    coupling: Tensor
    path_of_component: Tensor
    component_order: Tensor

    def __init__(
        self, features: o3.Irreps, harmonics: o3.Irreps, wanted: o3.Irreps, dtype: torch.dtype
    ) -> None:
        super().__init__()
        paths = find_paths(features, harmonics, wanted)
        by_block = [[p for p in paths if p.block == b] for b in range(len(features))]
        self.num_weights = sum(p.mul for p in paths)
        self.blocks = [
            (mul, ir.dim, sum(p.irrep.dim for p in by_block[b]), len(by_block[b]))
            for b, (mul, ir) in enumerate(features)
        ]
        coupling = [_coupling(features[b].ir, harmonics, by_block[b]) for b in range(len(features))]
        self.register_buffer("coupling", torch.cat(coupling).to(dtype), persistent=False)
        of_component = [k for block in by_block for k, p in enumerate(block) for _ in range(p.irrep.dim)]
        self.register_buffer("path_of_component", torch.tensor(of_component), persistent=False)
        self.irreps_out, order = _merge(by_block)
        self.register_buffer("component_order", order, persistent=False)

    def forward(self, features: Tensor, harmonics: Tensor, weights: Tensor, edge_index: Tensor) -> Tensor:
        """Messages summed at each centre, (N, irreps_out.dim); arguments as in `kernels.interaction`."""
        return interaction(
            features,
            harmonics,
            weights,
            edge_index,
            self.coupling,
            self.path_of_component,
            self.component_order,
            self.blocks,
        )


def _coupling(ir_in: o3.Irrep, harmonics: o3.Irreps, paths: list[Path]) -> Tensor:
    """Flat (S, sum of output dims, dim_in) coefficients of the paths of one input irrep."""
    total = torch.zeros(harmonics.dim, sum(p.irrep.dim for p in paths), ir_in.dim, dtype=torch.float64)
    row = 0
    for p in paths:
        w3j = o3.wigner_3j(ir_in.l, harmonics[p.harmonic].ir.l, p.irrep.l, dtype=torch.float64)
        rows = slice(row, row + p.irrep.dim)
        total[harmonics.slices()[p.harmonic], rows] = p.irrep.dim**0.5 * w3j.permute(1, 2, 0)
        row += p.irrep.dim
    return total.reshape(-1)


def _merge(by_block: list[list[Path]]) -> tuple[o3.Irreps, Tensor]:
    """Irreps of all paths' outputs, sorted and merged, and the gather order from the blocks to them."""
    starts: list[tuple[Path, int]] = []
    base = 0
    for block in by_block:
        component = 0
        for p in block:
            starts.append((p, base + component * p.mul))
            component += p.irrep.dim
        base += component * block[0].mul if block else 0
    order: list[int] = []
    merged: list[tuple[int, o3.Irrep]] = []
    for irrep in sorted({p.irrep for p, _ in starts}):
        same = [(p, start) for p, start in starts if p.irrep == irrep]
        merged.append((sum(p.mul for p, _ in same), irrep))
        for m in range(irrep.dim):
            for p, start in same:
                order.extend(range(start + m * p.mul, start + (m + 1) * p.mul))
    return o3.Irreps(merged), torch.tensor(order, dtype=torch.int64)

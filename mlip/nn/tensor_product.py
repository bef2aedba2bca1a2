"""Which tensor-product paths a layer has, and the module that evaluates them along edges."""

from dataclasses import dataclass

import torch
from e3nn import o3
from torch import Tensor, nn

from mlip.nn.kernels.edges import Edges
from mlip.nn.kernels.reference import interaction


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


@dataclass(frozen=True)
class PathLayout:
    """One path, and where its numbers stand in the rows of features, weights and result.

    Attributes:
        block: Its input irrep, counted.
        mul: Channels.
        feature_start: Of its input irrep in a row of features; component m follows after m * mul.
        weight_start: Of its weights in a row of weights.
        result_start: Of its component 0 in a row of the result.
        result_stride: From one component to the next there.
        coupling: (S, dim_out, dim_in) coefficients over all harmonics: sqrt(2 l_out + 1) times Wigner 3j.
    """

    block: int
    mul: int
    feature_start: int
    weight_start: int
    result_start: int
    result_stride: int
    coupling: Tensor


def lay_out_paths(
    features: o3.Irreps, harmonics: o3.Irreps, wanted: o3.Irreps
) -> tuple[o3.Irreps, list[PathLayout]]:
    """All paths with their places, and the irreps of the result: sorted, merged, channels path after path."""
    paths = find_paths(features, harmonics, wanted)
    channels = {irrep: sum(p.mul for p in paths if p.irrep == irrep) for irrep in {p.irrep for p in paths}}
    irreps_out = o3.Irreps([(channels[irrep], irrep) for irrep in sorted(channels)])
    next_channel = {ir: s.start for (_, ir), s in zip(irreps_out, irreps_out.slices(), strict=True)}
    layouts, weight_start = [], 0
    for p in paths:
        layouts.append(
            PathLayout(
                block=p.block,
                mul=p.mul,
                feature_start=features.slices()[p.block].start,
                weight_start=weight_start,
                result_start=next_channel[p.irrep],
                result_stride=channels[p.irrep],
                coupling=_coupling(features[p.block].ir, harmonics, p),
            )
        )
        next_channel[p.irrep] += p.mul
        weight_start += p.mul
    return irreps_out, layouts


def _coupling(ir_in: o3.Irrep, harmonics: o3.Irreps, path: Path) -> Tensor:
    coupling = torch.zeros(harmonics.dim, path.irrep.dim, ir_in.dim, dtype=torch.float64)
    w3j = o3.wigner_3j(ir_in.l, harmonics[path.harmonic].ir.l, path.irrep.l, dtype=torch.float64)
    coupling[harmonics.slices()[path.harmonic]] = path.irrep.dim**0.5 * w3j.permute(1, 2, 0)
    return coupling


class EdgeTensorProduct(nn.Module):
    """Weighted tensor product of neighbours' features with the edges' harmonics, summed at the centre.

    Args:
        features: Irreps of the node features.
        harmonics: Irreps of the edge harmonics.
        wanted: Irreps that the result may contain.
        dtype: Of the coefficients.

    Attributes:
        layouts: Its paths.
        irreps_in: Irreps of the node features.
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
        self.irreps_in = features
        self.irreps_out, self.layouts = lay_out_paths(features, harmonics, wanted)
        self.num_weights = sum(p.mul for p in self.layouts)
        by_block = [[p for p in self.layouts if p.block == b] for b in range(len(features))]
        self.blocks = [
            (mul, ir.dim, sum(p.coupling.shape[1] for p in by_block[b]), len(by_block[b]))
            for b, (mul, ir) in enumerate(features)
        ]
        coupling = [torch.cat([p.coupling for p in block], dim=1).flatten() for block in by_block if block]
        self.register_buffer("coupling", torch.cat(coupling).to(dtype), persistent=False)
        of_component = [
            k for block in by_block for k, p in enumerate(block) for _ in range(p.coupling.shape[1])
        ]
        self.register_buffer("path_of_component", torch.tensor(of_component), persistent=False)
        order = _component_order(by_block, self.irreps_out.dim)
        self.register_buffer("component_order", order, persistent=False)

    def forward(self, features: Tensor, harmonics: Tensor, weights: Tensor, edges: Edges) -> Tensor:
        """Messages summed at each centre, (N, irreps_out.dim); arguments as in `kernels.reference`."""
        return interaction(
            features,
            harmonics,
            weights,
            edges.edge_index,
            self.coupling,
            self.path_of_component,
            self.component_order,
            self.blocks,
        )


def _component_order(by_block: list[list[PathLayout]], dim: int) -> Tensor:
    """For each element of the result, where it stands among the outputs of all blocks, path after path."""
    order = torch.zeros(dim, dtype=torch.int64)
    at = 0
    for layout in (layout for block in by_block for layout in block):
        for k in range(layout.coupling.shape[1]):
            start = layout.result_start + k * layout.result_stride
            order[start : start + layout.mul] = torch.arange(at, at + layout.mul)
            at += layout.mul
    return order

"""The gated nonlinearity: scalars through an activation, higher irreps scaled by activated scalars."""

import torch
from e3nn import o3
from torch import Tensor, nn

# Scales that give silu(x) and tanh(x) unit second moment for normal x, as e3nn's `normalize2mom`.
SILU_SCALE = 1.6791767923989418
TANH_SCALE = 1.5937334472592695


class Gate(nn.Module):
    """Activate scalars and scale every channel of a higher irrep by its own activated even scalar.

    Args:
        irreps_out: Irreps after the gate, scalars first; each irrep once.

    Attributes:
        irreps_in: What the layer before must give: scalars and one more 0e per gated channel, sorted.

    Even scalars and gates use silu, odd scalars tanh, both with unit second moment.

    Raises:
        ValueError: There is something to gate but no even scalar in `irreps_out`.

    Source: e3nn `Gate`; NequIP, Batzner et al. 2022, methods.
    """

    blocks: list[tuple[int, int, int, int]]

    def __init__(self, irreps_out: o3.Irreps) -> None:
        super().__init__()
        self.silu_scale, self.tanh_scale = SILU_SCALE, TANH_SCALE  # TorchScript reads attributes, not globals
        scalars = o3.Irreps([(mul, ir) for mul, ir in irreps_out if ir.l == 0])
        gated = o3.Irreps([(mul, ir) for mul, ir in irreps_out if ir.l > 0])
        gates = o3.Irreps([(mul, "0e") for mul, _ in gated])
        self.irreps_out = (scalars + gated).simplify()
        self.irreps_in = (scalars + gates + gated).sort().irreps.simplify()
        self.num_even = sum(mul for mul, ir in scalars if ir.p == 1)
        self.num_odd = sum(mul for mul, ir in scalars if ir.p == -1)
        start_of = {ir: s.start for (_, ir), s in zip(self.irreps_in, self.irreps_in.slices(), strict=True)}
        self.even_start = start_of.get(o3.Irrep("0e"), 0)
        self.odd_start = start_of.get(o3.Irrep("0o"), 0)
        even_first = [ir.p == 1 for _, ir in scalars] == sorted(
            (ir.p == 1 for _, ir in scalars), reverse=True
        )
        if not even_first:
            raise ValueError(f"found scalars {scalars}; expected even scalars before odd ones")
        self.blocks = []
        gate_start = self.even_start + self.num_even
        for mul, ir in gated:
            self.blocks.append((start_of[ir], mul, ir.dim, gate_start))
            gate_start += mul

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, irreps_in.dim) to (N, irreps_out.dim)."""
        outputs = [nn.functional.silu(features.narrow(1, self.even_start, self.num_even)) * self.silu_scale]
        if self.num_odd > 0:
            outputs.append(torch.tanh(features.narrow(1, self.odd_start, self.num_odd)) * self.tanh_scale)
        for start, mul, dim, gate_start in self.blocks:
            gate = nn.functional.silu(features.narrow(1, gate_start, mul)) * self.silu_scale
            block = features.narrow(1, start, dim * mul).reshape(-1, dim, mul)
            outputs.append((block * gate.unsqueeze(1)).view(-1, dim * mul))
        return torch.cat(outputs, dim=1)

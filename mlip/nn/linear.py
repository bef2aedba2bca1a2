"""Equivariant linear maps: channels mix within an irrep, components never do."""

import torch
from e3nn import o3
from torch import Tensor, nn


class EquivariantLinear(nn.Module):
    """Mix the channels of equal irreps: y = x W / sqrt(fan in).

    Args:
        irreps_in: Each irrep at most once.
        irreps_out: Each irrep at most once; one that the input lacks comes out as zeros.
        dtype: Of the weights.

    The flat `weight` holds (mul_in, mul_out) per shared irrep, in the order of e3nn's `Linear`.
    """

    blocks: list[tuple[int, int, int, int, int]]

    def __init__(self, irreps_in: o3.Irreps, irreps_out: o3.Irreps, dtype: torch.dtype) -> None:
        super().__init__()
        self.blocks = _blocks(irreps_in, irreps_out, weights_per_pair=1)
        count = sum(mul_in * mul_out for _, mul_in, mul_out, _, _ in self.blocks)
        self.weight = nn.Parameter(torch.randn(count, dtype=dtype))

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, irreps_in.dim) to (N, irreps_out.dim)."""
        outputs: list[Tensor] = []
        matrices = self.matrices()
        for at_feature, mul_in, mul_out, dim, _ in self.blocks:
            if mul_in == 0:
                outputs.append(features.new_zeros(features.shape[0], dim * mul_out))
                continue
            block = features.narrow(1, at_feature, dim * mul_in).reshape(-1, mul_in)
            outputs.append((block @ matrices.pop(0).squeeze(0)).view(-1, dim * mul_out))
        return torch.cat(outputs, dim=1)

    def matrices(self) -> list[Tensor]:
        """(1, mul_in, mul_out) of each block with inputs, scaled."""
        scaled: list[Tensor] = []
        for _, mul_in, mul_out, _, at_weight in self.blocks:
            if mul_in > 0:
                weight = self.weight.narrow(0, at_weight, mul_in * mul_out).view(1, mul_in, mul_out)
                scaled.append(weight * mul_in**-0.5)
        return scaled


class SelfConnection(nn.Module):
    """A linear map whose weights depend on the atom's species embedding (nequip's `sc`).

    y = sum over attributes a of attr_a x W_a / sqrt(mul_in * num_attributes).

    Args:
        irreps_in: Each irrep at most once.
        num_attributes: Length of the species embedding.
        irreps_out: Each irrep at most once; one that the input lacks comes out as zeros.
        dtype: Of the weights.

    The flat `weight` holds (mul_in, num_attributes, mul_out) per shared irrep, as e3nn's
    `FullyConnectedTensorProduct` orders it.
    """

    blocks: list[tuple[int, int, int, int, int]]

    def __init__(
        self, irreps_in: o3.Irreps, num_attributes: int, irreps_out: o3.Irreps, dtype: torch.dtype
    ) -> None:
        super().__init__()
        self.num_attributes = num_attributes
        self.blocks = _blocks(irreps_in, irreps_out, weights_per_pair=num_attributes)
        count = sum(mul_in * num_attributes * mul_out for _, mul_in, mul_out, _, _ in self.blocks)
        self.weight = nn.Parameter(torch.randn(count, dtype=dtype))

    def forward(self, features: Tensor, embedding: Tensor, species: Tensor) -> Tensor:
        """Map (N, irreps_in.dim) to (N, irreps_out.dim).

        Args:
            features: (N, irreps_in.dim).
            embedding: (T, num_attributes) one row per species.
            species: (N,) row of each atom.
        """
        outputs: list[Tensor] = []
        matrices = self.matrices(embedding)
        for at_feature, mul_in, mul_out, dim, _ in self.blocks:
            if mul_in == 0:
                outputs.append(features.new_zeros(features.shape[0], dim * mul_out))
                continue
            per_species = matrices.pop(0)
            block = features.narrow(1, at_feature, dim * mul_in).reshape(-1, dim, mul_in)
            output = block.new_zeros(block.shape[0], dim, mul_out)
            for t in range(per_species.shape[0]):
                if per_species.shape[0] <= 8:  # masks: a GPU would be waited for to count rows
                    is_t = (species == t).view(-1, 1, 1)
                    output = torch.where(is_t, block @ per_species[t], output)
                else:
                    rows = torch.nonzero(species == t).view(-1)
                    output = output.index_add(0, rows, block.index_select(0, rows) @ per_species[t])
            outputs.append(output.view(-1, dim * mul_out))
        return torch.cat(outputs, dim=1)

    def matrices(self, embedding: Tensor) -> list[Tensor]:
        """One matrix per species, not per atom: (T, mul_in, mul_out) of each block with inputs, scaled."""
        per_species: list[Tensor] = []
        for _, mul_in, mul_out, _, at_weight in self.blocks:
            if mul_in > 0:
                flat = self.weight.narrow(0, at_weight, mul_in * self.num_attributes * mul_out)
                weight = flat.view(mul_in, self.num_attributes, mul_out)
                scaled = weight * (mul_in * self.num_attributes) ** -0.5
                per_species.append(torch.einsum("ta,iao->tio", embedding, scaled))
        return per_species


def _blocks(
    irreps_in: o3.Irreps, irreps_out: o3.Irreps, weights_per_pair: int
) -> list[tuple[int, int, int, int, int]]:
    """Per output irrep: start of the equal input irrep, mul_in (0 if none), mul_out, dim, start of weights.

    Weights are laid out in the order of the inputs, as e3nn does.
    """
    mul_of = {ir: mul for mul, ir in irreps_out}
    inputs: dict[o3.Irrep, tuple[int, int, int]] = {}
    at_weight = 0
    for (mul_in, ir), features in zip(irreps_in, irreps_in.slices(), strict=True):
        if ir in mul_of:
            inputs[ir] = (features.start, mul_in, at_weight)
            at_weight += mul_in * mul_of[ir] * weights_per_pair
    blocks = []
    for mul_out, ir in irreps_out:
        start, mul_in, at_weight = inputs.get(ir, (0, 0, 0))
        blocks.append((start, mul_in, mul_out, ir.dim, at_weight))
    return blocks

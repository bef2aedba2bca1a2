"""A many-body toy in the file format of deployed models: its energies, forces and virials have no back door.

Per atom: E_i = 1/2 sum_j D(type_i, type_j) f(r_ij) phi(r_ij) - A(type_i) sqrt(rho_i + 1), with a two-layer
density rho_i = sum_j f(r_ij) (1 + rho1_j / (1 + rho1_j)), rho1_j = sum_k f(r_jk) w(type_k): two message
passes, so that forces reach over two cutoffs as in NequIP.
"""

import warnings
from pathlib import Path

import torch


class ToyModel(torch.nn.Module):
    """Reads pos, atom_types, edge_index, edge_cell_shift, cell; returns atomic_energy, forces, virial."""

    def __init__(self, r_max: float, num_types: int = 3) -> None:
        super().__init__()
        self.r_max = r_max
        generator = torch.Generator().manual_seed(7)

        def table(*shape: int) -> torch.Tensor:
            return 0.5 + torch.rand(*shape, generator=generator, dtype=torch.float64)

        self.depth = torch.nn.Parameter(0.3 * table(num_types, num_types))
        self.width = torch.nn.Parameter(table(num_types))
        self.embedding = torch.nn.Parameter(0.2 * table(num_types))
        self.isolated = torch.nn.Parameter(-2.0 * table(num_types))

    def atomic_energy(
        self, vectors: torch.Tensor, types: torch.Tensor, center: torch.Tensor, neighbor: torch.Tensor
    ) -> torch.Tensor:
        r = vectors.square().sum(1).sqrt()
        u = (r / self.r_max).clamp(max=1.0)
        envelope = (1.0 - u * u) ** 3
        num_atoms = types.shape[0]
        zeros = torch.zeros(num_atoms, dtype=vectors.dtype, device=vectors.device)
        depth = self.depth[types[center], types[neighbor]]
        pair = 0.5 * depth * envelope * (torch.exp(-2.0 * (r - 2.2)) - 2.0 * torch.exp(-(r - 2.2)))
        first = zeros.index_add(0, center, envelope * self.width[types[neighbor]])
        message = first / (1.0 + first)
        second = zeros.index_add(0, center, envelope * (1.0 + message[neighbor]))
        energy = zeros.index_add(0, center, pair) - self.embedding[types] * torch.sqrt(second + 1.0)
        return energy + self.isolated[types]

    def forward(self, data: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        strain = torch.zeros(3, 3, dtype=torch.float64, device=data["pos"].device).requires_grad_(True)
        pos = data["pos"].detach().requires_grad_(True)
        symmetric = 0.5 * (strain + strain.t())
        cell = data["cell"][0] + data["cell"][0] @ symmetric
        strained = pos + pos @ symmetric
        center, neighbor = data["edge_index"][0], data["edge_index"][1]
        vectors = strained[neighbor] - strained[center] + data["edge_cell_shift"] @ cell
        energy = self.atomic_energy(vectors, data["atom_types"], center, neighbor)
        gradients = torch.autograd.grad([energy.sum()], [pos, strain], allow_unused=True)
        d_pos, d_strain = gradients[0], gradients[1]
        forces = torch.zeros_like(pos) if d_pos is None else -d_pos
        virial = torch.zeros_like(strain) if d_strain is None else -d_strain
        return {
            "atomic_energy": energy.detach().unsqueeze(1),
            "forces": forces,
            "virial": virial.unsqueeze(0),
        }


def save_toy_model(
    path: Path,
    metadata: dict[str, str] | None = None,
    *,
    drop: str = "",
    num_types: int = 3,
    poison: bool = False,
) -> Path:
    """Script the toy of Li, P, S with a cutoff of 4 A and save it with metadata as in deployed files.

    Args:
        path: Where; by right it ends in .nequip.pth.
        metadata: Further or other metadata.
        drop: A metadata key to leave out.
        num_types: Number of types the weights are for.
        poison: Make every energy NaN.

    Returns:
        The path.
    """
    entries = {
        "r_max": "4.0",
        "num_types": "3",
        "type_names": "Li P S",
        "allow_tf32": "0",
        **(metadata or {}),
    }
    entries.pop(drop, None)
    model = ToyModel(4.0, num_types)
    if poison:
        model.isolated.data.fill_(float("nan"))
    with warnings.catch_warnings():
        # TorchScript is deprecated in torch, but it is the format that pair style nequip reads.
        warnings.filterwarnings("ignore", "`torch.jit", DeprecationWarning)
        torch.jit.save(torch.jit.script(model), str(path), _extra_files=entries)
    return path

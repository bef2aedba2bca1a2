"""Deployed models with random weights, and the structures they are compared on."""

from pathlib import Path

import numpy as np
import torch
from ase import Atoms
from native_lammps_runs import SPECIES

from mlip.deploy import Potential, deploy_potential
from mlip.models.allegro import AllegroConfig
from mlip.models.build import build_force_field
from mlip.models.nequip import NequIPConfig
from mlip.models.normalization import Normalization

R_MAX = 4.0
MODELS = {
    "nequip": NequIPConfig(r_max=R_MAX, num_layers=3, l_max=1, num_features=4, radial_mlp_width=8),
    "tiny": NequIPConfig(r_max=R_MAX, num_layers=2, l_max=1, num_features=2, radial_mlp_width=4),
    "wide": NequIPConfig(r_max=R_MAX, num_layers=2, l_max=2, num_features=40, radial_mlp_width=8),
    "allegro": AllegroConfig(r_max=R_MAX, l_max=1, num_scalar_features=8, num_tensor_features=4),
}


def deploy(name: str, folder: Path, dtype: str = "float64", **options: object) -> Path:
    """Save one of the models and deploy it for the CPU; options are those of `deploy_potential`."""
    torch.manual_seed(3)
    config = MODELS[name]
    normalization = Normalization(
        (20.0,) * 3, (13.0, 8.0, 11.0), (-1.0, -2.0, -3.0), config.edge_cutoffs(SPECIES)
    )
    force_field = build_force_field(config, tuple(SPECIES), normalization, torch.float64)
    potential = Potential(
        config=config,
        species=tuple(SPECIES),
        dtype="float64",
        normalization=normalization,
        weights=force_field.state_dict(),
        reference_structure=structure("triclinic"),
        trained_on_stress=True,
    )
    potential.save(folder / f"{name}.mlip")
    return deploy_potential(folder / f"{name}.mlip", folder, device="cpu", dtype=dtype, **options)  # type: ignore[arg-type]


def structure(name: str) -> Atoms:
    """Atoms on a jittered grid, about 2.6 A apart."""
    generator = np.random.default_rng(5)
    repeats, skew, pbc = {
        "triclinic": ((5, 4, 4), [[0, 0, 0], [3.1, 0, 0], [-2.3, 2.7, 0]], True),
        "orthogonal": ((4, 4, 3), np.zeros((3, 3)), True),
        "small": ((2, 2, 3), [[0, 0, 0], [1.1, 0, 0], [-0.9, 1.3, 0]], True),
        "slab": ((4, 4, 3), np.zeros((3, 3)), (True, True, False)),
        "molecule": ((4, 3, 2), np.zeros((3, 3)), False),
    }[name]
    cell = np.diag(2.6 * np.array(repeats)) + np.array(skew)
    grid = np.stack(np.meshgrid(*[np.arange(n) for n in repeats], indexing="ij"), -1).reshape(-1, 3)
    positions = (grid + 0.3) / repeats @ cell + generator.normal(scale=0.15, size=(len(grid), 3))
    numbers = [SPECIES[k] for k in generator.integers(0, 3, len(grid))]
    atoms = Atoms(numbers, positions, cell=cell, pbc=pbc)
    for axis in range(3):
        if not atoms.pbc[axis]:
            atoms.center(vacuum=3.0, axis=axis)
    return atoms


BOUNDARIES = {"triclinic": "p p p", "small": "p p p", "slab": "p p f", "molecule": "f f f"}

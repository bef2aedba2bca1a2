"""Deployed models with random weights: lmp against the eager force field and the ASE calculator."""

from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from native_lammps_runs import LAMMPS_FROM_VOIGT, SPECIES, VOIGT, Result, evaluate_lammps

from mlip.data.graph import build_graph
from mlip.deploy import MLIPCalculator
from mlip.deploy.torchscript import save_torchscript
from mlip.models.allegro import AllegroConfig
from mlip.models.build import build_force_field
from mlip.models.config import ModelConfig
from mlip.models.nequip import NequIPConfig
from mlip.models.normalization import Normalization
from mlip.nn.derivatives import ForceField

R_MAX = 4.0
MODELS = {
    "nequip": NequIPConfig(r_max=R_MAX, num_layers=2, l_max=2, num_features=8, radial_mlp_width=16),
    "allegro": AllegroConfig(r_max=R_MAX, l_max=2, num_scalar_features=8, num_tensor_features=4),
}


@pytest.fixture
def atoms() -> Atoms:
    """A triclinic cell, below 2 r_max along two vectors."""
    cell = np.array([[7.4, 0, 0], [1.9, 6.9, 0], [-1.6, 2.3, 9.2]])
    generator = np.random.default_rng(5)
    grid = np.stack(np.meshgrid(*[np.arange(3)] * 3, indexing="ij"), -1).reshape(-1, 3) / 3
    positions = (grid + 0.1) @ cell + generator.normal(scale=0.15, size=(27, 3))
    return Atoms([SPECIES[k] for k in generator.integers(0, 3, 27)], positions, cell=cell, pbc=True)


def deploy(config: ModelConfig, path: Path, dtype: torch.dtype) -> ForceField:
    torch.manual_seed(3)
    normalization = Normalization(
        (20.0,) * 3, (1.3, 0.8, 1.1), (-1.0, -2.0, -3.0), config.edge_cutoffs(SPECIES)
    )
    force_field = build_force_field(config, SPECIES, normalization, dtype).eval()
    metadata = {
        "r_max": str(R_MAX),
        "num_types": "3",
        "type_names": " ".join(SPECIES),
        "allow_tf32": "0",
        "vitreous_format": "1",
        "model_dtype": str(dtype).removeprefix("torch."),
        "trained_on_stress": "1",
    }
    save_torchscript(force_field, metadata, path)
    return force_field


def evaluate_eager(force_field: ForceField, atoms: Atoms) -> Result:
    graph = build_graph(atoms, R_MAX, tuple(SPECIES))
    answer = force_field(*graph.inputs)
    virial = answer.virial[0].detach().numpy()[VOIGT]
    return Result(
        float(answer.energy.detach()),
        answer.atomic_energies.detach().numpy(),
        answer.forces.detach().numpy(),
        virial,
    )


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-5)])
@pytest.mark.parametrize("model", MODELS)
def test_lmp_equals_eager_and_ase(tmp_path, plugin, atoms, model, dtype, tolerance):
    path = tmp_path / "model.nequip.pth"
    force_field = deploy(MODELS[model], path, dtype)
    found = evaluate_lammps(tmp_path, atoms, path)
    eager = evaluate_eager(force_field, atoms)
    found.assert_same(eager, tolerance)

    atoms.calc = MLIPCalculator(path, device="cpu")
    stress = atoms.get_stress()[LAMMPS_FROM_VOIGT]
    ase = Result(
        atoms.get_potential_energy(),
        atoms.get_potential_energies(),
        atoms.get_forces(),
        -stress * atoms.get_volume(),
    )
    found.assert_same(ase, tolerance)
    assert np.abs(eager.virial).min() > 1e-3

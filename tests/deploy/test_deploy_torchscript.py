"""Deployment: the file gives the potential's numbers, carries the metadata, or does not exist."""

import json
from dataclasses import replace
from typing import Optional

import numpy as np
import pytest
import torch
from nequip_process import results_of_nequip
from structures import random_structure

from mlip.deploy import MLIPCalculator, Potential, deploy_potential
from mlip.deploy.torchscript import save_torchscript
from mlip.deploy.verify import verify_deployment
from mlip.errors import PotentialError
from mlip.nn.derivatives import Prediction


@pytest.fixture(scope="module")
def deployed(potential_file, tmp_path_factory):
    return deploy_potential(potential_file, tmp_path_factory.mktemp("deployed"), device="cpu")


@pytest.mark.parametrize("kind", ["triclinic", "slab", "molecule", "small_cell", "atom"])
def test_same_numbers_as_the_potential(potential_file, deployed, kind):
    atoms = random_structure(kind, seed=5)
    atoms.calc = MLIPCalculator(potential_file, device="cpu")
    energy, forces = atoms.get_potential_energy(), atoms.get_forces()
    atoms.calc = MLIPCalculator(deployed, device="cpu")
    assert atoms.get_potential_energy() == pytest.approx(energy, rel=1e-12)
    np.testing.assert_allclose(atoms.get_forces(), forces, rtol=1e-9, atol=1e-11)


@pytest.mark.slow
def test_nequips_own_calculator_reads_the_file(deployed):
    """Whoever leaves with our file gets the same numbers."""
    pytest.importorskip("nequip.integrations.ase")
    for kind, theirs in results_of_nequip(deployed, "triclinic", "molecule").items():
        atoms = random_structure(kind, seed=5)
        atoms.calc = MLIPCalculator(deployed, device="cpu")
        assert theirs["energy"] == pytest.approx(atoms.get_potential_energy(), rel=1e-9)
        np.testing.assert_allclose(theirs["forces"], atoms.get_forces(), rtol=1e-7, atol=1e-9)
        if kind == "triclinic":
            np.testing.assert_allclose(theirs["stress"], atoms.get_stress(), rtol=1e-7, atol=1e-10)


def test_cutoffs_of_pairs_travel_with_the_file(tmp_path, potential_file):
    whole = Potential.load(potential_file)
    config = replace(whole.config, per_edge_type_cutoff={"Li": 3.0, "S": {"Li": 3.5}}, pair_potential=None)
    normalization = replace(whole.normalization, edge_cutoffs=config.edge_cutoffs(whole.species))
    replace(whole, config=config, normalization=normalization, pair_cutoffs=None).save(tmp_path / "cut.mlip")
    deployed = deploy_potential(tmp_path / "cut.mlip", tmp_path, device="cpu")
    extra = {"per_edge_type_cutoff": ""}
    torch.jit.load(str(deployed), _extra_files=extra)
    assert [float(word) for word in extra["per_edge_type_cutoff"].split()] == [3, 3, 3, 4, 4, 4, 3.5, 4, 4]
    atoms = random_structure("triclinic", seed=5)
    energies = []
    for file in (tmp_path / "cut.mlip", deployed, potential_file):
        atoms.calc = MLIPCalculator(file, device="cpu")
        energies.append(atoms.get_potential_energy())
    assert energies[0] == pytest.approx(energies[1], rel=1e-12)
    assert abs(energies[0] - energies[2]) > 1e-3


def test_metadata_and_manifest(deployed, potential_file):
    extra = dict.fromkeys(("r_max", "num_types", "type_names", "allow_tf32", "model_dtype"), "")
    torch.jit.load(str(deployed), _extra_files=extra)
    assert extra["type_names"].decode().split() == ["Li", "P", "S"]
    assert float(extra["r_max"]) == Potential.load(potential_file).config.r_max
    manifest = json.loads((deployed.parent / "manifest.json").read_text())
    assert manifest["differences"]["forces"] <= 1e-9


def test_float32_deployment_passes_its_own_verification(potential_file, tmp_path):
    file = deploy_potential(potential_file, tmp_path / "single.nequip.pth", device="cpu", dtype="float32")
    assert MLIPCalculator(file, device="cpu").species == ("Li", "P", "S")


@pytest.mark.parametrize("fault", ["energy", "forces", "virial"])
def test_a_file_with_other_numbers_is_refused(potential_file, tmp_path, fault):
    """Deploy a model with one output spoilt; verification must notice each."""
    potential = Potential.load(potential_file)
    spoilt = _Spoilt(potential.force_field(), fault)
    path = tmp_path / "spoilt.nequip.pth"
    metadata = {
        "r_max": str(potential.config.r_max),
        "num_types": "3",
        "type_names": "Li P S",
        "allow_tf32": "0",
        "model_dtype": "float64",
    }
    save_torchscript(spoilt, metadata, path)
    with pytest.raises(PotentialError, match="not deployed"):
        verify_deployment(potential_file, path, potential.reference_structure, "float64", "cpu")


class _Spoilt(torch.nn.Module):
    """A force field whose energy is off by a little, or whose forces or virial have the wrong sign."""

    def __init__(self, force_field, fault):
        super().__init__()
        self.force_field = force_field
        self.energy_factor = 1.0 + 1e-6 if fault == "energy" else 1.0
        self.forces_factor = -1.0 if fault == "forces" else 1.0
        self.virial_factor = -1.0 if fault == "virial" else 1.0

    def forward(
        self,
        positions: torch.Tensor,
        species: torch.Tensor,
        edge_index: torch.Tensor,
        edge_shift: torch.Tensor,
        cell: torch.Tensor,
        batch: torch.Tensor,
        num_local: Optional[int] = None,  # noqa: UP045 (TorchScript)
    ) -> Prediction:
        out = self.force_field(positions, species, edge_index, edge_shift, cell, batch, num_local)
        return Prediction(
            out.energy,
            out.atomic_energies * self.energy_factor,
            out.forces * self.forces_factor,
            out.virial * self.virial_factor,
            out.descriptors,
            out.edge_gradient,
        )

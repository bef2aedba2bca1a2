"""A small argon crystal and a potential that is cheap, smooth and reproducible to the bit."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes

from md.protocols.stages import Stage, plan_stages

EPSILON, SIGMA, R_ON, R_MAX = 0.0104, 3.4, 4.2, 5.0


class SmoothLennardJones(Calculator):
    """All pairs in the minimum image, switched off by a polynomial between 4.2 and 5 A."""

    implemented_properties = ["energy", "free_energy", "forces", "stress"]
    grade_thresholds = None

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        cell, volume = np.array(self.atoms.cell), self.atoms.get_volume()
        vectors = self.atoms.positions[None, :, :] - self.atoms.positions[:, None, :]
        fractional = vectors @ np.linalg.inv(cell)
        vectors = (fractional - np.round(fractional)) @ cell
        distances = np.sqrt(np.sum(vectors**2, axis=2))
        np.fill_diagonal(distances, 2 * R_MAX)
        s6 = np.where(distances < R_MAX, SIGMA / distances, 0.0) ** 6
        pair, pair_slope = 4 * EPSILON * (s6**2 - s6), 4 * EPSILON * (6 * s6 - 12 * s6**2) / distances
        x = np.clip((distances - R_ON) / (R_MAX - R_ON), 0.0, 1.0)
        switch = 1 - x**3 * (10 - 15 * x + 6 * x**2)
        switch_slope = -30 * x**2 * (1 - x) ** 2 / (R_MAX - R_ON)
        energy = 0.5 * np.sum(pair * switch)
        tension = (pair_slope * switch + pair * switch_slope) / distances
        self.results = {
            "energy": energy,
            "free_energy": energy,
            "forces": np.einsum("ij,ijk->ik", tension, vectors),
            "stress": _voigt(0.5 * np.einsum("ij,ijk,ijl->kl", tension, vectors, vectors) / volume),
        }


def _voigt(stress):
    return stress[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]


@pytest.fixture
def argon() -> Atoms:
    """32 atoms in a cube of 10.6 A."""
    return bulk("Ar", "fcc", a=5.3, cubic=True).repeat(2)


@pytest.fixture
def lennard_jones() -> SmoothLennardJones:
    return SmoothLennardJones()


@pytest.fixture
def plan():
    """Plan one stage from its keys."""

    def plan_one(**keys):
        return plan_stages([Stage(name="only", **keys)])

    return plan_one


def build_potential(energy_scale, trained_on_stress):
    """A small NequIP for argon and lithium with random weights, and ZBL to keep the atoms apart."""
    import torch  # here: most of these tests do without

    from mlip.deploy import Potential
    from mlip.models.build import build_force_field
    from mlip.models.nequip import NequIPConfig
    from mlip.models.normalization import Normalization

    torch.manual_seed(0)
    config = NequIPConfig(r_max=4.0, num_layers=2, l_max=1, num_features=4, pair_potential="zbl")
    species = ("Li", "Ar")
    scales = (energy_scale, energy_scale)
    normalization = Normalization((12.0, 12.0), scales, (0.0, 0.0), config.edge_cutoffs(species))
    pair_cutoffs = ((3.0, 3.0), (3.0, 3.0))
    model = build_force_field(config, species, normalization, torch.float64, pair_cutoffs)
    reference = bulk("Ar", "fcc", a=5.3, cubic=True)
    reference.symbols[0] = "Li"
    reference.rattle(0.1, seed=0)
    return Potential(
        config=config,
        species=species,
        dtype="float64",
        normalization=normalization,
        weights=model.state_dict(),
        reference_structure=reference,
        trained_on_stress=trained_on_stress,
        pair_cutoffs=pair_cutoffs,
    )


@pytest.fixture(scope="session")
def potential(tmp_path_factory):
    path = tmp_path_factory.mktemp("potential") / "toy.mlip"
    build_potential(energy_scale=0.1, trained_on_stress=False).save(path)
    return path


@pytest.fixture(scope="session")
def deployed(tmp_path_factory):
    """A file for every engine, of a stiffer potential."""
    from mlip.deploy import deploy_potential

    path = tmp_path_factory.mktemp("deployed") / "stiff.mlip"
    build_potential(energy_scale=1.0, trained_on_stress=True).save(path)
    return deploy_potential(path, path.parent, device="cpu")

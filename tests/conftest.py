"""Fixtures shared by the whole suite."""

from dataclasses import replace

import pytest
import torch
from graded_potential import fit_to
from structures import SPECIES, random_structure

from mlip.deploy import Potential
from mlip.models.allegro import AllegroConfig
from mlip.models.build import build_force_field
from mlip.models.nequip import NequIPConfig
from mlip.models.normalization import Normalization

NORMALIZATION = Normalization(
    avg_num_neighbors=(12.0, 12.0, 12.0),
    energy_scales=(1.0, 2.0, 1.5),
    energy_shifts=(-1.0, 2.0, -3.0),
    edge_cutoffs=((4.0,) * 3,) * 3,
)

SMALL_MODELS = {
    "nequip": (NequIPConfig, {"num_features": 4, "radial_mlp_width": 8}),
    "allegro": (
        AllegroConfig,
        {"num_scalar_features": 8, "num_tensor_features": 4, "allegro_mlp_hidden_layers_width": 12},
    ),
}


def pytest_collection_modifyitems(items):
    """Tests marked gpu are skipped, and counted as such, where there is none."""
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason="no CUDA device"))


@pytest.fixture
def small_force_field():
    """Build a small model in evaluation mode, with seeded random weights."""

    def build(dtype=torch.float64, seed=0, pair_cutoffs=None, architecture="nequip", **settings):
        torch.manual_seed(seed)
        config_class, numbers = SMALL_MODELS[architecture]
        config = config_class(**({"r_max": 4.0, "num_layers": 2, "l_max": 2} | numbers | settings))
        normalization = replace(NORMALIZATION, edge_cutoffs=config.edge_cutoffs(SPECIES))
        return build_force_field(config, SPECIES, normalization, dtype, pair_cutoffs).eval()

    return build


@pytest.fixture(scope="session")
def potential_file(tmp_path_factory):
    """A float64 NequIP of Li, P, S with random weights and ZBL, as a `.mlip` file; r_max 4 A."""
    config = NequIPConfig(
        r_max=4.0, num_layers=2, l_max=2, num_features=4, radial_mlp_width=8, pair_potential="zbl"
    )
    torch.manual_seed(0)
    pair_cutoffs = ((2.4, 2.2, 2.0), (2.2, 2.5, 2.0), (2.0, 2.0, 2.6))
    force_field = build_force_field(config, SPECIES, NORMALIZATION, torch.float64, pair_cutoffs)
    potential = Potential(
        config=config,
        species=SPECIES,
        dtype="float64",
        normalization=NORMALIZATION,
        weights=force_field.state_dict(),
        reference_structure=random_structure("triclinic", seed=7),
        trained_on_stress=True,
        pair_cutoffs=pair_cutoffs,
    )
    path = tmp_path_factory.mktemp("potential") / "random.mlip"
    potential.save(path)
    return path


@pytest.fixture(scope="session")
def graded_file(potential_file, tmp_path_factory):
    """The same potential with an extrapolation grade."""
    potential = Potential.load(potential_file)
    path = tmp_path_factory.mktemp("graded") / "graded.mlip"
    replace(potential, uncertainty=fit_to(potential)).save(path)
    return path

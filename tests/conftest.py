"""Fixtures shared by the whole suite."""

import pytest
import torch
from structures import SPECIES, random_structure

from mlip.deploy import Potential
from mlip.models.build import build_force_field
from mlip.models.nequip import NequIPConfig
from mlip.nn.zbl import ZBL


@pytest.fixture
def small_force_field():
    """Build a small NequIP in evaluation mode, with seeded random weights."""

    def build(dtype=torch.float64, seed=0, zbl_cutoffs=None, **settings):
        torch.manual_seed(seed)
        numbers = {"r_max": 4.0, "num_layers": 2, "l_max": 2, "num_features": 4, "radial_mlp_width": 8}
        config = NequIPConfig(**(numbers | settings))
        zbl = None if zbl_cutoffs is None else ZBL((3, 15, 16), torch.tensor(zbl_cutoffs))
        return build_force_field(config, 3, 12.0, [1.0, 2.0, 1.5], [-1.0, 2.0, -3.0], dtype, zbl).eval()

    return build


@pytest.fixture(scope="session")
def potential_file(tmp_path_factory):
    """A float64 NequIP of Li, P, S with random weights and ZBL, as a `.mlip` file; r_max 4 A."""
    config = NequIPConfig(r_max=4.0, num_layers=2, l_max=2, num_features=4, radial_mlp_width=8)
    scales, shifts = (1.0, 2.0, 1.5), (-1.0, 2.0, -3.0)
    torch.manual_seed(0)
    force_field = build_force_field(config, len(SPECIES), 12.0, scales, shifts, torch.float64)
    potential = Potential(
        config=config,
        species=SPECIES,
        dtype="float64",
        avg_num_neighbors=12.0,
        energy_scales=scales,
        energy_shifts=shifts,
        weights=force_field.state_dict(),
        reference_structure=random_structure("triclinic", seed=7),
        trained_on_stress=True,
        pair_cutoffs=((2.4, 2.2, 2.0), (2.2, 2.5, 2.0), (2.0, 2.0, 2.6)),
    )
    path = tmp_path_factory.mktemp("potential") / "random.mlip"
    potential.save(path)
    return path

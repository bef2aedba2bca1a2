"""Fixtures shared by the whole suite."""

import pytest
import torch

from mlip.models.build import build_force_field
from mlip.models.nequip import NequIPConfig


@pytest.fixture
def small_force_field():
    """Build a small NequIP in evaluation mode, with seeded random weights."""

    def build(dtype=torch.float64, seed=0, **settings):
        torch.manual_seed(seed)
        numbers = {"r_max": 4.0, "num_layers": 2, "l_max": 2, "num_features": 4, "radial_mlp_width": 8}
        config = NequIPConfig(**(numbers | settings))
        return build_force_field(config, 3, 12.0, [1.0, 2.0, 1.5], [-1.0, 2.0, -3.0], dtype).eval()

    return build

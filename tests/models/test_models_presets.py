"""Presets: those of NequIP are nequip's own, the large Allegro is the published one, sizes grow."""

from functools import cache

import pytest
import torch
from ase.data import chemical_symbols
from hydra import compose, initialize_config_module

from mlip.models.build import build_force_field
from mlip.models.normalization import Normalization
from mlip.settings import build_group

SIZES = ("S", "M", "L", "XL")


@cache
def preset(name):
    with initialize_config_module("mlip.conf", version_base="1.3"):
        return build_group(compose("train", [f"model={name}", "run_dir=x"]), "model")


def number_of_weights(config, num_species):
    """Without the scales and shifts of the species."""
    normalization = Normalization(
        avg_num_neighbors=(20.0,) * num_species,
        energy_scales=(1.0,) * num_species,
        energy_shifts=(0.0,) * num_species,
        edge_cutoffs=((config.r_max,) * num_species,) * num_species,
    )
    species = chemical_symbols[1 : num_species + 1]
    model = build_force_field(config, species, normalization, torch.float32).model
    return sum(p.numel() for name, p in model.named_parameters() if not name.startswith("scale_shift"))


@pytest.mark.parametrize("size", SIZES)
def test_presets_of_nequip_are_nequips(size):
    models = pytest.importorskip("nequip.model.nequip_models")
    config = preset(f"nequip_{size}")
    expected = models._NEQUIP_GNN_STANDARD_PRESET | models._NEQUIP_GNN_PRESETS[size]
    assert {name: getattr(config, name) for name in expected} == expected


def test_large_allegro_has_the_published_number_of_weights():
    """Matbench Discovery lists Allegro-OAM-L, of 89 elements, with 9.7 million."""
    assert number_of_weights(preset("allegro_L"), 89) == pytest.approx(9.7e6, abs=0.05e6)


@pytest.mark.parametrize("architecture", ["nequip", "allegro"])
def test_each_size_is_larger_than_the_one_before(architecture):
    counts = [number_of_weights(preset(f"{architecture}_{size}"), 3) for size in SIZES[:3]]
    assert counts == sorted(set(counts))
    assert preset(f"{architecture}_XL").l_max > preset(f"{architecture}_L").l_max

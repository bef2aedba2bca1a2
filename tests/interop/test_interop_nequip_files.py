"""Ways in which a model may stand in a file of nequip's: fine-tuned from another, from a preset, packaged."""

import shutil
import warnings

import pytest
import torch
import yaml
from architectures import ALLEGRO, NEQUIP
from interop.nequip_checkpoints import (
    evaluate_nequip,
    evaluation_model,
    in_our_order,
    nequip_arguments,
    save_checkpoint,
    training_module,
)
from structures import SPECIES, random_structure

from mlip.data.graph import build_graph
from mlip.errors import PotentialError
from mlip.interop.nequip import import_nequip
from mlip.interop.nequip_config import read_config

pytest.importorskip("nequip.model")
pytest.importorskip("allegro.model")

SETTINGS = NEQUIP["no parity"] | {"num_layers": 2}


def assert_as_nequip(potential, module):
    """The same forces and energies as nequip's, to 1e-10."""
    atoms = random_structure("triclinic", seed=5)
    graph = build_graph(atoms, potential.config.r_max, SPECIES)
    mine = potential.force_field()(*graph.inputs)
    theirs = evaluate_nequip(evaluation_model(module), graph, atoms.pbc, in_our_order(graph.species))
    for a, b in ((mine.forces, theirs["forces"]), (mine.energy, theirs["total_energy"].view(-1))):
        assert (a - b).abs().max() <= 1e-10 * b.abs().max()


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A checkpoint to start others from, in a folder of its own."""
    module = training_module(nequip_arguments(SETTINGS))
    return save_checkpoint(module, tmp_path_factory.mktemp("base") / "base.ckpt")


def tuned_from(path):
    """A model that nequip's own modifiers made of a checkpoint: other shifts, trained from now on."""
    return {
        "_target_": "nequip.model.modify",
        "model": {"_target_": "nequip.model.ModelFromCheckpoint", "checkpoint_path": str(path)},
        "modifiers": [
            {
                "modifier": "modify_PerTypeScaleShift",
                "shifts": {"Li": 5.0, "S": -7.0},
                "shifts_trainable": True,
            }
        ],
    }


@pytest.mark.parametrize("ema", [False, True])
def test_a_fine_tuned_model_is_read_with_the_file_it_came_from(base, tmp_path, ema):
    module = training_module(tuned_from(base), ema=ema, seed=3)
    potential = import_nequip(save_checkpoint(module, tmp_path / "tuned.ckpt"))
    assert_as_nequip(potential, module)
    assert potential.config.per_type_energy_shifts_trainable
    assert potential.normalization.energy_shifts == pytest.approx((5.0, 2.0, -7.0), abs=0.16)


def test_the_file_that_it_came_from_may_lie_beside_it(base, tmp_path):
    elsewhere = tmp_path / "training" / "base.ckpt"
    elsewhere.parent.mkdir()
    shutil.copy(base, elsewhere)
    module = training_module(tuned_from(elsewhere))
    checkpoint = save_checkpoint(module, tmp_path / "tuned.ckpt")
    elsewhere.rename(tmp_path / "base.ckpt")
    assert_as_nequip(import_nequip(checkpoint), module)
    (tmp_path / "base.ckpt").unlink()
    with pytest.raises(PotentialError, match=r"fine-tuned from .*base\.ckpt.*put it there"):
        import_nequip(checkpoint)


@pytest.mark.parametrize(
    "target", ["nequip.model.nequip_models.NequIPGNNModel", "nequip.model.NequIPGNNEnergyModel"]
)
def test_builders_of_older_versions(base, tmp_path, target):
    """Until 0.15 a model of energies alone had a builder of its own; its network is the same."""
    content = torch.load(base, weights_only=True)
    content["hyper_parameters"]["model"]["_target_"] = target
    content["hyper_parameters"]["info_dict"]["versions"]["nequip"] = "0.7.0"
    torch.save(content, tmp_path / "older.ckpt")
    weights = import_nequip(base).weights
    for name, tensor in import_nequip(tmp_path / "older.ckpt").weights.items():
        assert torch.equal(tensor, weights[name]), name


def test_presets(tmp_path):
    """The numbers of a preset are nequip's; those given beside it count more."""
    arguments = nequip_arguments({"r_max": 4.0, "avg_num_neighbors": 17.0})
    arguments |= {"_target_": "nequip.model.PresetNequIPGNNModel", "preset": "m", "num_features": [4, 3, 2]}
    module = training_module(arguments | {"radial_mlp_width": 8})
    potential = import_nequip(save_checkpoint(module, tmp_path / "preset.ckpt"))
    assert (potential.config.num_layers, potential.config.type_embed_num_features) == (4, 32)
    assert_as_nequip(potential, module)


def test_every_preset_is_the_one_of_nequip():
    from nequip.model import nequip_models

    from mlip.interop import nequip_config

    assert nequip_config._PRESETS == nequip_models._NEQUIP_GNN_PRESETS
    assert nequip_config._PRESET == nequip_models._NEQUIP_GNN_STANDARD_PRESET


def test_arguments_that_must_have_one_value_have_it_by_default():
    """What is refused unless it is so is so in nequip, when nobody says anything."""
    import inspect

    from allegro.model.allegro_models import FullAllegroModel
    from nequip.model.nequip_models import FullNequIPGNNModel

    from mlip.interop.nequip_config import _ONLY

    defaults = {}
    for builder in (FullNequIPGNNModel, FullAllegroModel):
        defaults |= {name: p.default for name, p in inspect.signature(builder).parameters.items()}
    assert {name: defaults[name] for name in _ONLY} == _ONLY


@pytest.mark.parametrize("settings", [SETTINGS, ALLEGRO["per species"]], ids=["nequip", "allegro"])
def test_a_package_is_read_without_its_code(tmp_path, settings):
    """A package as `nequip-package` lays it out, without the code that it puts beside the model."""
    arguments = nequip_arguments(settings)
    module = training_module(arguments, ema=True)
    path = tmp_path / "model.nequip.zip"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with torch.package.PackageExporter(path) as package:
            package.extern("**")
            package.save_pickle("model", "eager_model.pkl", module.evaluation_model)
            config = yaml.safe_dump({"training_module": {"model": arguments, "loss": None}})
            package.save_text("model", "config.yaml", config)
            versions = yaml.safe_dump({"versions": {"nequip": "0.19.1"}, "package_version_id": 2})
            package.save_text("model", "package_metadata.txt", versions)
    module.ema.swap_parameters(module.model)  # `evaluation_model` wants them as they were
    potential = import_nequip(path)
    assert_as_nequip(potential, module)
    assert potential.data["imported_from"]["weights"] == "those that nequip packaged"


METRICS = {"_target_": "nequip.train.MetricsManager"}
METRIC = {"_target_": "nequip.train.MeanSquaredError"}


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        ({"_target_": "nequip.train.EnergyForceLoss", "coeffs": {"forces": 1.0}}, False),
        ({"_target_": "nequip.train.EnergyForceStressLoss", "coeffs": {"stress": 1.0}}, True),
        ({"_target_": "nequip.train.EnergyForceStressLoss", "coeffs": {"stress": 0.0}}, False),
        ({"_target_": "nequip.train.EnergyForceStressLoss", "coeffs": {"stress": None}}, False),
        ({"_target_": "nequip.train.EnergyForceStressLoss"}, True),
        (METRICS | {"metrics": [{"field": "stress", "coeff": 1.0, "metric": METRIC}]}, True),
        (METRICS | {"metrics": [{"field": "stress", "coeff": None, "metric": METRIC}]}, False),
        (METRICS | {"metrics": [{"field": "forces", "coeff": 1.0, "metric": METRIC}]}, False),
        (
            METRICS
            | {
                "metrics": [{"field": {"_target_": "a.B", "field": "virial"}, "coeff": 1.0, "metric": METRIC}]
            },
            True,
        ),
        (None, False),
    ],
)
def test_whether_stress_was_learnt_stands_in_the_loss(base, tmp_path, loss, expected):
    content = torch.load(base, weights_only=True)
    content["hyper_parameters"]["loss"] = loss
    torch.save(content, tmp_path / "changed.ckpt")
    potential = import_nequip(tmp_path / "changed.ckpt")
    assert potential.trained_on_stress == expected
    assert ("pressures" in potential.card) == (not expected)


@pytest.mark.parametrize(
    ("given", "scales", "shifts"),
    [
        (None, 1.0, 0.0),
        (2.5, 2.5, 2.5),
        ({"S": 3.0, "Li": 1.0, "P": 2.0}, None, None),
        ([3.0, 1.0, 2.0], None, None),
    ],
)
def test_scales_and_shifts_are_recorded_by_species(given, scales, shifts):
    arguments = nequip_arguments(SETTINGS)
    arguments |= {"per_type_energy_scales": given, "per_type_energy_shifts": given}
    config = read_config(arguments)
    each = {"Li": 1.0, "P": 2.0, "S": 3.0}
    assert config.per_type_energy_scales == (each if scales is None else dict.fromkeys(each, scales))
    assert config.per_type_energy_shifts == (each if shifts is None else dict.fromkeys(each, shifts))

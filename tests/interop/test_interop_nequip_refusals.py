"""What cannot be imported is named in one line, which says what was found, what is read, how to mend it."""

import copy
import zipfile

import pytest
import torch
from architectures import ALLEGRO, NEQUIP
from interop.nequip_checkpoints import TYPE_NAMES, nequip_arguments, save_checkpoint, training_module

from mlip.errors import DataError, PotentialError
from mlip.interop.nequip import import_nequip

pytest.importorskip("nequip.model")
pytest.importorskip("allegro.model")

SETTINGS = NEQUIP["parity"] | {"num_layers": 1, "l_max": 1}


@pytest.fixture(scope="module")
def contents(tmp_path_factory):
    """The contents of two checkpoints, a NequIP's and an Allegro's."""
    folder = tmp_path_factory.mktemp("checkpoints")
    made = {}
    for name, settings in (("nequip", SETTINGS), ("allegro", ALLEGRO["one layer"])):
        module = training_module(nequip_arguments(settings))
        made[name] = torch.load(save_checkpoint(module, folder / f"{name}.ckpt"), weights_only=True)
    return made


@pytest.fixture
def refused(contents, tmp_path):
    """Import a changed checkpoint, and give the message of its refusal."""

    def refuse(change, which="nequip"):
        content = copy.deepcopy(contents[which])
        content = change(content) or content
        torch.save(content, tmp_path / "changed.ckpt")
        return refusal(tmp_path / "changed.ckpt")

    return refuse


def refusal(path):
    with pytest.raises((PotentialError, DataError)) as caught:
        import_nequip(path)
    message = str(caught.value)
    assert "\n" not in message
    assert any(word in message for word in ("expected", "damaged", "altered", "do not belong"))
    return message


def with_model(**changes):
    """Change arguments of the model in a checkpoint."""

    def change(content):
        content["hyper_parameters"]["model"] |= changes

    return change


ZBL = {"_target_": "nequip.nn.pair_potential.ZBL", "units": "metal", "chemical_species": list(TYPE_NAMES)}
OPTIONS = {
    "convnet_resnet": True,
    "learnable_shift": True,
    "convnet_nonlinearity_type": "norm",
    "convnet_nonlinearity_scalars": {"e": "ssp", "o": "tanh"},
    "categorical_graph_field_embed": [{"field": "charge", "num_features": 2, "min": 0, "max": 1}],
    "readout_mlp_nonlinearity": "ssp",
    "radial_mlp_depth": [1, 2],
    "polynomial_cutoff_p": 5.5,
    "r_max": "far",
    "l_max": 7,
    "an_option_of_the_future": 1,
}


@pytest.mark.parametrize("name", OPTIONS)
def test_options_that_we_do_not_have_are_named(refused, name):
    assert name in refused(with_model(**{name: OPTIONS[name]}))


@pytest.mark.parametrize(
    ("pair", "named"),
    [
        ({"_target_": "nequip.nn.pair_potential.LennardJones", "lj_sigma": 1.0}, "LennardJones"),
        (ZBL | {"units": "real"}, "pair_potential.units=real"),
        (ZBL | {"polynomial_cutoff_p": 8}, "pair_potential.polynomial_cutoff_p=8"),
        (ZBL | {"chemical_species": ["Na", "P", "S"]}, "chemical_species"),
        (ZBL | {"chemical_species": TYPE_NAMES[::-1]}, "chemical_species"),
    ],
)
def test_other_pair_potentials_are_named(refused, pair, named):
    assert named in refused(with_model(pair_potential=pair))


def test_the_pair_potential_of_old_versions_had_another_envelope(refused):
    def change(content):
        with_model(pair_potential=ZBL, polynomial_cutoff_p=8)(content)
        content["hyper_parameters"]["info_dict"]["versions"]["nequip"] = "0.15.0"

    assert "nequip 0.15.0 with polynomial_cutoff_p=8" in refused(change)


def test_other_models_are_named(refused):
    assert "a.b.SomeModel" in refused(with_model(_target_="a.b.SomeModel"))
    assert "FullNequIPGNNModel" in refused(with_model(_target_="nequip.model.FullNequIPGNNModel"))
    embedding = {"_target_": "my.Embedding"}
    assert "radial_chemical_embed=Embedding" in refused(
        with_model(radial_chemical_embed=embedding), "allegro"
    )
    embedding = {"_target_": "allegro.nn.TwoBodyBesselScalarEmbed", "strange": 1}
    assert "embed.strange" in refused(with_model(radial_chemical_embed=embedding), "allegro")


def test_types_must_be_chemical_symbols(refused):
    assert "my_Li" in refused(with_model(type_names=["S", "my_Li", "P"]))
    assert "each once" in refused(with_model(type_names=["S", "Li", "S"]))
    assert "each once" in refused(with_model(type_names=[]))


def test_dtype_and_statistics_must_be_known(refused):
    assert "avg_num_neighbors for Li, P" in refused(with_model(avg_num_neighbors={"Li": 9.0, "P": 8.0}))
    assert "per_type_energy_shifts for S" in refused(with_model(per_type_energy_shifts=[1.0]))
    assert "model_dtype=float16" in refused(with_model(model_dtype="float16"))

    def forget(content):
        del content["hyper_parameters"]["model"]["avg_num_neighbors"]

    assert "no avg_num_neighbors" in refused(forget)
    assert "no avg_num_neighbors" in refused(with_model(avg_num_neighbors=None))


def test_several_models_in_one_checkpoint_are_refused(refused):
    def add(content):
        content["state_dict"]["model.second.model.func.x"] = torch.ones(1)

    assert "the models second" in refused(add)


@pytest.mark.parametrize("which", ["nequip", "allegro"])
def test_weights_that_do_not_fit_their_settings_are_refused(refused, which):
    def drop(content):
        state = content["state_dict"]
        del state[next(name for name in state if name.endswith("shift.scales"))]

    assert "found no weight" in refused(drop, which)
    other = {"num_layers": 1, "num_features": 5} if which == "nequip" else {"num_tensor_features": 8}
    message = refused(with_model(**other), which)
    assert "fit the architecture" in message or "do not belong to this file" in message


def test_modifiers_that_we_do_not_have_are_named(refused):
    def wrap(content):
        settings = content["hyper_parameters"]
        settings["model"] = {
            "_target_": "nequip.model.modify",
            "model": settings["model"],
            "modifiers": [{"modifier": "modify_everything"}],
        }

    assert "modify_everything" in refused(wrap)


def test_a_model_that_was_tuned_from_a_missing_file_names_it(refused):
    base = {"_target_": "nequip.model.ModelFromCheckpoint", "checkpoint_path": "/nowhere/base.ckpt"}

    def wrap(content):
        content["hyper_parameters"]["model"] = base

    assert "/nowhere/base.ckpt" in refused(wrap)


def test_checkpoints_of_others_and_of_old_versions(refused, tmp_path):
    def no_info(content):
        del content["hyper_parameters"]["info_dict"]

    assert "without nequip's info_dict" in refused(no_info)

    def old(content):
        content["hyper_parameters"]["info_dict"]["versions"]["nequip"] = "0.6.2"

    assert "nequip 0.6.2" in refused(old)
    assert "before 0.7" in refused(lambda content: content["state_dict"])
    assert "before 0.7" in refused(lambda content: [1, 2])


def test_versions_newer_than_the_tests_are_read_with_a_warning(contents, tmp_path, caplog):
    content = copy.deepcopy(contents["nequip"])
    content["hyper_parameters"]["info_dict"]["versions"]["nequip"] = "0.23.1"
    torch.save(content, tmp_path / "newer.ckpt")
    import_nequip(tmp_path / "newer.ckpt")
    assert "made by nequip 0.23.1" in caplog.text
    caplog.clear()
    torch.save(contents["nequip"], tmp_path / "tested.ckpt")
    import_nequip(tmp_path / "tested.ckpt")
    assert "made by nequip" not in caplog.text


def test_other_files(tmp_path, potential_file):
    path = tmp_path / "file.ckpt"
    assert "found no file" in refusal(tmp_path / "missing.ckpt")
    path.write_text("not a checkpoint")
    assert "no file of nequip 0.7 or newer" in refusal(path)
    assert "needs no import" in refusal(potential_file)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/holiday.jpg", b"")
    assert "a/holiday.jpg" in refusal(path)
    with zipfile.ZipFile(path, "w") as archive:
        pass
    assert "nothing" in refusal(path)
    torch.jit.script(torch.nn.Linear(2, 2)).save(path)
    assert "a TorchScript file" in refusal(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/archive_format", b"pt2")
    assert "a compiled file" in refusal(path)


def test_a_truncated_checkpoint_is_damaged(contents, tmp_path):
    path = tmp_path / "whole.ckpt"
    torch.save(contents["nequip"], path)
    whole = path.read_bytes()
    for keep in (0, 1000, len(whole) // 2, len(whole) - 10):
        path.write_bytes(whole[:keep])
        assert "damaged" in refusal(path)
    middle = len(whole) // 3
    path.write_bytes(whole[:middle] + bytes(100) + whole[middle + 100 :])
    assert "damaged" in refusal(path)

"""Which weights of a checkpoint are taken: those that nequip's `evaluation_model` would have."""

import pytest
import torch
from architectures import ALLEGRO, NEQUIP
from interop.nequip_checkpoints import nequip_arguments, randomize, save_checkpoint, training_module

from mlip.errors import PotentialError
from mlip.interop.nequip import import_nequip
from mlip.interop.nequip_averages import evaluation_weights

pytest.importorskip("nequip.model")
pytest.importorskip("allegro.model")

SETTINGS = NEQUIP["other basis"] | {"per_type_energy_shifts_trainable": True}


@pytest.fixture
def checkpoint(tmp_path):
    """A checkpoint with averages, as torch reads it, and a function that imports it after a change."""
    module = training_module(nequip_arguments(SETTINGS), ema=True)
    path = save_checkpoint(module, tmp_path / "last.ckpt")
    content = torch.load(path, weights_only=True)

    def changed(change):
        change(content)
        torch.save(content, tmp_path / "changed.ckpt")
        return import_nequip(tmp_path / "changed.ckpt")

    return content, changed


def embedding(potential):
    return potential.weights["model.species_embedding"]


def test_averages_are_taken_where_there_are_some(checkpoint):
    content, imported = checkpoint
    average, last = content["state_dict"]["ema.ema_weight_0"], model_weight(content)
    assert not torch.equal(average, last)
    potential = imported(lambda content: content.update(epoch=7))
    assert torch.equal(embedding(potential), average[[1, 2, 0]])
    assert potential.data["imported_from"]["weights"] == "the exponential moving average of decay 0.999"
    assert potential.data["imported_from"]["epoch"] == 7


def model_weight(content):
    return content["state_dict"]["model.sole_model.model.func.type_embed.embed_module.weight"]


def drop_averages(content):
    for name in [name for name in content["state_dict"] if name.startswith("ema.")]:
        del content["state_dict"][name]


def test_without_averages_the_last_weights_are_taken(checkpoint):
    content, imported = checkpoint
    potential = imported(drop_averages)
    assert torch.equal(embedding(potential), model_weight(content)[[1, 2, 0]])
    assert potential.data["imported_from"]["weights"] == "those of the last step"


@pytest.mark.parametrize("change", ["one missing", "another shape", "swapped"])
def test_averages_that_do_not_belong_to_the_model_are_refused(checkpoint, change):
    _, imported = checkpoint

    def damage(content):
        state = content["state_dict"]
        if change == "one missing":
            del state["ema.ema_weight_3"]
        elif change == "another shape":
            state["ema.ema_weight_3"] = state["ema.ema_weight_3"].view(-1)[1:]
        else:
            state["ema._extra_state"]["is_holding_ema_weights"] = False

    with pytest.raises(PotentialError, match="average") as caught:
        imported(damage)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("settings", [SETTINGS, ALLEGRO["other embedding"], ALLEGRO["spline"]])
def test_averages_are_numbered_like_the_parameters(settings):
    """Each average stands where torch's `parameters()` of nequip's own model has its parameter."""
    arguments = nequip_arguments(settings)
    module = training_module(arguments, ema=True)
    chosen, _ = evaluation_weights({"state_dict": module.state_dict()}, arguments)
    names = [name for name, _ in module.model.named_parameters()]
    assert len(names) > 10
    for name, average in zip(names, module.ema.ema_weights, strict=True):
        assert torch.equal(chosen[name], average), name


@pytest.mark.parametrize(("training", "group"), [(True, "betas"), (False, "betas"), (True, "momentum")])
def test_schedule_free_averages(training, group):
    """x of y = (1 - beta) z + beta x, the weights of `eval()`; saved in evaluation they are in place."""
    arguments = nequip_arguments(SETTINGS)
    module = training_module(arguments)
    names = [name for name, _ in module.model.named_parameters()]
    wanted = {name: parameter.detach().clone() for name, parameter in module.model.named_parameters()}
    steps = {name: torch.zeros_like(tensor) for name, tensor in wanted.items()}
    randomize(steps.values(), seed=5)
    beta = 0.95
    if training:
        with torch.no_grad():
            for name, parameter in module.model.named_parameters():
                parameter.copy_((1.0 - beta) * steps[name] + beta * wanted[name])
    settings = {"betas": (beta, 0.999)} if group == "betas" else {"momentum": beta}
    optimizer = {
        "state": {index: {"z": steps[name]} for index, name in enumerate(names)},
        "param_groups": [{"params": list(range(len(names))), "train_mode": training, **settings}],
    }
    checkpoint = {"state_dict": module.state_dict(), "schedulefree_optimizer_state_dict": optimizer}
    chosen, said = evaluation_weights(checkpoint, arguments)
    for name in names:
        torch.testing.assert_close(chosen[name], wanted[name], rtol=1e-12, atol=1e-12)
    assert "schedule-free" in said

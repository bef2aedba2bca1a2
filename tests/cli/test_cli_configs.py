"""Every config composes with every option of its groups, and says the same as the classes it selects."""

import inspect
from dataclasses import MISSING, fields
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_module
from hydra.utils import get_class
from omegaconf import OmegaConf

import mlip
from md.protocols.read import read_protocol
from md.protocols.relaxation import Relaxation
from md.protocols.stages import Stage, plan_stages
from mlip.cli import VERBS
from mlip.errors import ConfigError
from mlip.settings import build_group, build_settings
from mlip.structures.builders import find_builder
from mlip.workflows.learning.plan import Explorer
from train.data import DataConfig
from train.losses import SquaredLoss

CONF = Path(mlip.__file__).parents[1] / "conf"
PRIMARY = sorted(path.stem for path in CONF.glob("*.yaml") if path.stem != "base")
OPTIONS = [(path.parent.name, path.stem) for path in sorted(CONF.glob("*/*.yaml"))]
DATACLASSES = [
    "cluster/local",
    "cluster/slurm",
    "engine/ase",
    "engine/lammps",
    "engine/torch",
    "labeler/ase",
    "labeler/cp2k",
    "labeler/espresso",
    "labeler/lammps",
    "labeler/vasp",
    "labeler/xtb",
    "loss/huber",
    "loss/squared",
    "model/allegro",
    "model/nequip",
    "optimizer/adam",
    "optimizer/schedule_free",
    "trainer/default",
]
# What has no default, given for the tests.
NEEDED = {
    "cluster/slurm": ["cluster.partition=x"],
    "labeler/ase": ["labeler.calculator_class=ase.calculators.emt.EMT"],
    "labeler/espresso": ["labeler.pseudo_dir=x"],
    "labeler/lammps": ["labeler.species=[Li]", "labeler.commands=[pair_style zero 5]"],
    "labeler/vasp": ["labeler.command=vasp_std"],
}


def text_of(group, name):
    return (CONF / group / f"{name}.yaml").read_text()


def composed(verb, *overrides, hydra=False):
    with initialize_config_module("mlip.conf", version_base="1.3"):
        return compose(verb, list(overrides), return_hydra_config=hydra)


def groups_of(verb):
    """The groups in the defaults of a primary config."""
    defaults = yaml.safe_load((CONF / f"{verb}.yaml").read_text())["defaults"]
    return [next(iter(entry)) for entry in defaults if isinstance(entry, dict)]


def options_of(builder):
    """What a builder's config says: its keyword arguments with their defaults, ??? for those without."""
    keywords = [
        each for each in inspect.signature(builder).parameters.values() if each.kind is each.KEYWORD_ONLY
    ]
    told = {each.name: "???" if each.default is each.empty else each.default for each in keywords}
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in told.items()
        if name != "seed"
    }


CHOICES = [(verb, group, name) for verb in PRIMARY for group, name in OPTIONS if group in groups_of(verb)]


def test_every_config_belongs_to_a_verb():
    assert set(PRIMARY) <= VERBS.keys()
    assert {group for group, _ in OPTIONS} == {group for verb in PRIMARY for group in groups_of(verb)}


@pytest.mark.parametrize(("verb", "group", "name"), CHOICES)
def test_every_choice_composes_and_builds(tmp_path, verb, group, name):
    needed = NEEDED.get(f"{group}/{name}", [])
    config = composed(verb, f"{group}={name}", f"run_dir={tmp_path}", "hydra.mode=RUN", *needed)
    if group == "protocol":
        assert plan_stages(read_protocol(OmegaConf.to_container(config.protocol)))
    elif group == "builder":
        assert OmegaConf.to_container(config.builder) == options_of(find_builder(name))
    elif group == "explorer":
        explorer = build_settings(
            Explorer, {"structure": "x", **OmegaConf.to_container(config.explorer)}, group
        )
        with initialize_config_module("mlip.conf", version_base="1.3"):
            assert explorer.stages()[0].start_K == config.explorer.temperature_K
    elif config[group]:
        assert type(build_group(config, group)).__name__ == config[group]._target_.rsplit(".")[-1]


def test_every_group_with_classes_is_checked_below():
    with_target = {f"{group}/{name}" for group, name in OPTIONS if "_target_" in text_of(group, name)}
    assert with_target == {*DATACLASSES, "logger/wandb"}  # the last is a class of Lightning's


@pytest.mark.parametrize("choice", DATACLASSES)
def test_yaml_says_what_the_dataclass_says(choice):
    values = yaml.safe_load(text_of(*choice.split("/")))
    kind = get_class(values.pop("_target_"))
    needed = {field.name: "???" for field in fields(kind) if has_no_default(field)}
    defaults = {
        field.name: field.default if field.default_factory is MISSING else field.default_factory()
        for field in fields(kind)
    }
    assert values == defaults | needed


def has_no_default(field):
    return field.default is MISSING and field.default_factory is MISSING


@pytest.mark.parametrize(("key", "kind"), [("data", DataConfig)])
def test_the_sections_of_train_say_what_their_dataclasses_say(key, kind):
    values = yaml.safe_load((CONF / "train.yaml").read_text())[key]
    defaults = {field.name: "???" if field.default is MISSING else field.default for field in fields(kind)}
    assert values == defaults


@pytest.mark.parametrize("name", [name for group, name in OPTIONS if group == "protocol"])
def test_protocols_state_the_defaults_of_a_stage(name):
    own = ["name", "ensemble", "temperature_K", "duration_ps", "rate_K_per_ps", "production"]
    if name in ("interface", "growth"):  # what makes them what they are
        own += ["barostat", "pressure_GPa", "every_ps", "observe"]
    for stage in filter(None, yaml.safe_load(text_of("protocol", name)).values()):
        kind = Relaxation if stage["ensemble"] == "relax" else Stage
        defaults = {field.name: field.default for field in fields(kind) if field.name not in own}
        shared = stage.keys() & defaults.keys()
        assert {key: stage[key] for key in shared} == {key: defaults[key] for key in shared}


@pytest.mark.parametrize("verb", PRIMARY)
def test_help_of_every_verb_teaches(verb):
    header = composed(verb, "run_dir=x", hydra=True).hydra.help.header
    assert header.startswith(f"mlip {verb}: ")
    assert header.count(f"mlip {verb} ") >= 1
    assert "eave" in header  # what it leaves behind


@pytest.mark.parametrize("verb", PRIMARY)
def test_every_verb_has_its_own_run_dir_and_the_shared_settings(verb):
    config = composed(verb)
    assert config.run_dir == f"runs/{verb}"
    assert config.resume == "auto"
    assert config.seed == 0


def test_settings_take_whole_numbers_for_numbers_and_nothing_else():
    assert build_settings(SquaredLoss, {"energy": 2}, "loss") == SquaredLoss(energy=2)
    for value, expected in (
        ("2", "a number"),
        (True, "a number"),
        (None, "a number"),
        (float("nan"), "a number"),
    ):
        with pytest.raises(ConfigError, match=rf"loss\.energy.*expected {expected}"):
            build_settings(SquaredLoss, {"energy": value}, "loss")
    for value in (1.5, True, "5"):
        with pytest.raises(ConfigError, match="a whole number"):
            build_settings(DataConfig, {"train": "x", "batch_size": value}, "data")
    assert build_settings(DataConfig, {"train": ["a", "b"]}, "data").train == ["a", "b"]
    with pytest.raises(ConfigError, match=r"data\.train=\['a', 2\].*text or a list, each text"):
        build_settings(DataConfig, {"train": ["a", 2]}, "data")
    with pytest.raises(ConfigError, match=r"found no data\.train"):
        build_settings(DataConfig, {}, "data")

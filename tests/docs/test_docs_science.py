"""The commands of docs/science.md are commands: each verb exists, and its settings make a configuration."""

import re
import shlex
from pathlib import Path

import hydra
import pytest
from omegaconf import OmegaConf

from md.analyze import ANALYSES
from mlip.cli import VERBS
from mlip.inputs import as_names

TEXT = (Path(__file__).parents[2] / "docs" / "science.md").read_text()
COMMANDS = sorted(set(re.findall(r"`mlip (.*?)`", TEXT)))
ITEMS = range(1, 22)


@pytest.fixture(scope="module", autouse=True)
def configs():
    with hydra.initialize_config_module("mlip.conf", version_base="1.3"):
        yield


@pytest.mark.parametrize("command", COMMANDS)
def test_command_composes(command):
    verb, *words = shlex.split(command)
    assert verb in VERBS
    if verb == "data":  # a program of its own sub-commands
        return
    config = hydra.compose(verb, words)
    if verb == "analyze":
        assert set(as_names(OmegaConf.to_container(config)["analysis"])) <= set(ANALYSES)


def test_every_item_has_a_row():
    named = set()
    for cell in re.findall(r"^\| ([\d, -]+) \|", TEXT, re.MULTILINE):
        for part in filter(None, map(str.strip, cell.split(","))):
            first, _, last = part.partition("-")
            if first:
                named |= set(range(int(first), int(last or first) + 1))
    assert named == set(ITEMS)

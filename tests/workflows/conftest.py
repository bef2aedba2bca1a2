"""A plan of the loop, and Hydra at work."""

import pytest
from ase.build import bulk
from ase.io import write
from hydra import initialize_config_module

from mlip.workflows.learning.plan import Budget, Explorer, Plan, Subcells, Thresholds, Training


@pytest.fixture
def composing():
    with initialize_config_module("mlip.conf", version_base="1.3"):
        yield


@pytest.fixture
def plan(tmp_path):
    write(tmp_path / "start.extxyz", bulk("Cu", cubic=True))
    ramp = ["protocol.nvt.temperature_K=[300,900]"]
    explorers = {
        "a": Explorer(structure=str(tmp_path / "start.extxyz"), duration_ps=1.0, overrides=ramp),
        "b": Explorer(structure=str(tmp_path / "start.extxyz"), duration_ps=1.0, temperature_K=500.0),
    }
    grade = Thresholds(select=[3.0, 2.0], stop="auto")
    return Plan(
        explorers, grade, Subcells(), Training(), Budget(), gates=None, at_once=1, device="cpu", seed=5
    )

"""What a terminal shows while systems move, and that nothing is shown where there is none."""

import io
import sys

import numpy as np
import pytest
from ase.build import bulk

from md.engines.progress import MOST_LINES, Progress, describe_system, format_span
from md.engines.system_run import SystemRun
from md.protocols.stages import Stage, plan_stages
from md.state import State, draw_velocities
from md.thermo import Observation


class Screen(io.StringIO):
    def __init__(self, is_terminal):
        super().__init__()
        self.is_terminal = is_terminal

    def isatty(self):
        return self.is_terminal


@pytest.fixture
def runs(tmp_path):
    stages = plan_stages(
        [Stage(name="hold", ensemble="nvt", temperature_K=300, duration_ps=1, timestep_fs=2.0)]
    )
    start = State.from_atoms(bulk("Cu", cubic=True).repeat(2))
    everything = np.ones(len(start.numbers), dtype=bool)
    return [
        SystemRun(k, stages, draw_velocities(start, 310.0, k, everything), tmp_path / str(k))
        for k in range(12)
    ]


SEEN = Observation(potential_eV=-3.0, conserved_eV=0.0, stress=-np.eye(3) * 0.00624150907)


def shown(monkeypatch, runs, at_work, is_terminal=True):
    screen = Screen(is_terminal)
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("COLUMNS", "200")
    with Progress(runs) as progress:
        progress.update(25)
        progress.show(runs[:at_work], [SEEN] * at_work, 50.0)
    return screen.getvalue()


def test_one_system(monkeypatch, runs):
    text = shown(monkeypatch, runs[:1], 1)
    assert "hold: " in text
    assert "25/500" in text
    assert "310 K (target 300), " in text
    assert " g/cm3, 8.64 ns/day" in text


def test_pressure_and_density_are_those_of_thermo(runs):
    text = describe_system(runs[0], SEEN, 50.0)
    kinetic = 2 * runs[0].state.kinetic_energy / (3 * runs[0].state.volume) * 160.21766
    assert f"{1.0 + kinetic:.2f} GPa" in text
    assert "8.972 g/cm3" in text
    assert "GPa" not in describe_system(runs[0], Observation(0.0, 0.0, None), 50.0)


def test_a_line_for_each_of_a_few(monkeypatch, runs):
    text = shown(monkeypatch, runs, 3)
    assert "0 of 12 systems done" in text
    assert "3 at work, 25.9 ns/day in all" in text
    for k in range(3):
        assert f"00{k} hold: 310 K (target 300)" in text
    assert "10 s left" in text


def test_one_bar_for_many(monkeypatch, runs):
    assert len(runs) > MOST_LINES
    text = shown(monkeypatch, runs, len(runs))
    assert "12 at work, 104 ns/day in all" in text
    assert "hold" not in text


def test_nothing_in_a_log(monkeypatch, runs):
    assert shown(monkeypatch, runs, 3, is_terminal=False) == ""


def test_spans_of_time():
    spans = {5: "5 s", 300: "5 min", 7200: "2.0 h", 300_000: "3.5 days"}
    assert {seconds: format_span(seconds) for seconds in spans} == spans

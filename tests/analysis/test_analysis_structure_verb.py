"""`mlip analyze analysis=[...]` of structure and reactions: entries, figures with their numbers, chapters."""

import csv
import shutil

import numpy as np
import pytest
from hydra import compose, initialize_config_module

from md.analyze import analyze
from md.formats.extxyz import ExtxyzWriter
from md.formats.frame import Frame
from md.structure_analyses import STRUCTURE_ANALYSES
from mlip.errors import ConfigError, DataError
from mlip.report.html import write_report

TETRAHEDRON = 2.05 * np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / np.sqrt(3.0)


@pytest.fixture(scope="module", name="interface")
def interface_fixture(tmp_path_factory):
    """An extxyz of Li beside PS4 groups on a grid that lose S to the metal one after the other."""
    path = tmp_path_factory.mktemp("interface") / "run.extxyz"
    rng = np.random.default_rng(0)
    cell = np.diag([13.0, 13.0, 48.0])
    metal = np.array([(x, y, z) for x in range(4) for y in range(4) for z in range(5)]) * [3.25, 3.25, 3.4]
    groups = np.array([(x, y, z) for x in (3.0, 9.5) for y in (3.0, 9.5) for z in (22.0, 29.0, 36.0, 43.0)])
    ions = groups + np.array([3.2, 0.0, 1.0])
    numbers = np.array([3] * (len(metal) + len(ions)) + [15] * 16 + [16] * 64)
    writer = ExtxyzWriter(path)
    for time in range(24):
        sulfur = np.repeat(groups[:, None], 4, axis=1) + TETRAHEDRON
        for bond in range(round(16 * np.log(1 + time))):
            sulfur[bond // 4, bond % 4] += 0.8 * TETRAHEDRON[bond % 4]
        positions = np.concatenate([metal, ions, groups, sulfur.reshape(-1, 3)])
        positions += rng.normal(scale=0.05, size=positions.shape)
        images = np.floor(positions / np.diag(cell)).astype(int)
        wrapped = positions - images * np.diag(cell)
        writer.write(
            Frame(numbers, np.ones(len(numbers)), wrapped, images, cell, np.ones(3, bool), time, 1.0 * time)
        )
    writer.close()
    return path


def run(paths, folder, *overrides):
    with initialize_config_module("mlip.conf", version_base="1.3"):
        config = compose("analyze", [f"trajectory={paths[0]}", *overrides])
    return analyze(paths, config, folder)


def read_columns(path):
    with path.open(newline="") as stream:
        header, *rows = list(csv.reader(stream))
    return {name: [row[k] for row in rows if row[k] != ""] for k, name in enumerate(header)}


@pytest.mark.slow
def test_every_analysis_of_an_interface(tmp_path, interface):
    names = [name for name in STRUCTURE_ANALYSES if name != "glass_transition"]
    found = run([interface], tmp_path, f"analysis=[{','.join(names)}]", "layer_A=2.0")
    entries = found.entries
    assert all({"value", "unit", "error", "method"} <= entry.keys() for entry in entries.values())
    last = np.mean([min(round(16 * np.log(1 + time)), 64) / 64 for time in range(20, 24)])
    assert entries["reduction"]["value"] == pytest.approx(last)
    assert entries["reduction_rate"]["law"] == "log t"
    assert entries["interphase_thickness"]["unit"] == "A"
    assert sum(e["value"] for n, e in entries.items() if n.startswith("polyhedra_P.")) == pytest.approx(1)
    assert entries["qn_P.Q0"]["value"] == pytest.approx(1.0)
    assert entries["units.free_S"]["mean_number"] > 0
    assert entries["profile_share_of_Li"]["value"] == pytest.approx(1.0)
    assert entries["crystallinity"]["value"] < 0.1
    assert 0 < entries["bond_valence_sum.P"]["value"] < 7
    assert entries["global_instability_index"]["value"] > 0.2
    assert entries["first_sharp_peak"]["unit"] == "1/A"
    figures = {path.stem for path in tmp_path.glob("*.png")}
    assert figures == {path.stem for path in tmp_path.glob("*.csv")}
    assert {"units", "bond_valence", "structure_factor", "profiles", "kymograph", "reduction"} <= figures
    columns = read_columns(tmp_path / "reduction.csv")
    assert float(columns["reduction"][0]) == 0.0
    assert len(columns["time_ps"]) == 24
    headings = [section.heading for section in found.sections]
    assert headings == [
        "Summary",
        "Covalent units",
        "Bond valences",
        "Scattering",
        "Profiles",
        "Crystalline and amorphous",
        "Reactions",
        "Methods",
    ]
    page = write_report(tmp_path / "report.html", "title", "", found.sections, found.highlights).read_text()
    assert page.count("<figcaption>") == sum(len(section.figures) for section in found.sections)


def test_stretches_have_entries_of_their_own(tmp_path, ladder_run):
    found = run([ladder_run], tmp_path, "analysis=[bond_valence]")
    names = {f"global_instability_index.rung_{t}K" for t in (800, 600, 450)}
    assert names <= found.entries.keys()
    assert found.entries["global_instability_index.rung_600K"]["temperature_K"] == 600


def test_quench_of_a_fixed_cell_is_looked_at_by_its_energy(tmp_path, quench_run):
    found = run([quench_run], tmp_path, "analysis=[glass_transition]")
    entry = found.entries["glass_transition_energy.quench"]
    assert entry["value"] is None  # its energy is 3/2 kT and noise: one straight line
    assert any("no glass transition" in warning for warning in found.sections[1].warnings)
    assert (tmp_path / "glass_transition_quench.csv").exists()


def test_a_quench_that_was_broken_off_is_said_to_be_so(tmp_path, quench_run):
    shutil.copy(quench_run, tmp_path / "trajectory.h5")
    lines = quench_run.with_name("thermo.csv").read_text().splitlines(keepends=True)
    (tmp_path / "thermo.csv").write_text("".join(lines[: len(lines) // 2]))
    found = run([tmp_path / "trajectory.h5"], tmp_path, "analysis=[glass_transition]")
    assert any("not to 300 K as was asked" in warning for warning in found.sections[1].warnings)


def test_what_cannot_be_done_is_said(tmp_path, interface, ladder_run):
    with pytest.raises(DataError, match="no cooling stage"):
        run([ladder_run], tmp_path, "analysis=[glass_transition]")
    with pytest.raises(DataError, match=r"thermo\.csv"):
        run([interface], tmp_path, "analysis=[glass_transition]")
    with pytest.raises(DataError, match="covalent units form around"):
        run([ladder_run], tmp_path, "analysis=[units]")
    with pytest.raises(ConfigError, match="axis=x"):
        run([interface], tmp_path, "analysis=[profiles]", "axis=x")
    with pytest.raises(ConfigError, match="expected a number above zero"):
        run([interface], tmp_path, "analysis=[profiles]", "layer_A=0")

"""What stands on top and at the end of a report: numbers to quote, glasses side by side, methods to paste."""

import re
from dataclasses import replace

import numpy as np
import pytest

from md.analysis import Frames
from md.analysis.study import compare_glasses
from md.analysis.transport import analyze_transport
from md.analyze import ANALYSES
from md.report.methods import ANALYSIS_METHODS, methods_section
from md.report.references import list_references, number_citations, write_bibtex
from md.report.study import study_section
from md.report.summary import summary_section
from md.report.text import with_error, with_interval
from md.report.transport import transport_highlights
from md.report.transport_entries import transport_entries

A2_PER_PS = 1e-4  # in cm^2/s


def walkers(diffusivity_A2_per_ps, num_frames, interval_ps, seed=0, num_ions=40, vibration_A=0.1, **said):
    """Lithium with a known D that shakes at its places, past sulfur at rest."""
    rng = np.random.default_rng(seed)
    edge_A = 20.0
    start = np.tile(rng.uniform(0, edge_A, (1, 2 * num_ions, 3)), (num_frames, 1, 1))
    steps = rng.normal(scale=np.sqrt(2 * diffusivity_A2_per_ps * interval_ps), size=(num_frames, num_ions, 3))
    start[:, :num_ions] += np.cumsum(steps, axis=0)
    start[:, :num_ions] += rng.normal(scale=vibration_A, size=steps.shape)
    cells = np.tile(edge_A * np.eye(3), (num_frames, 1, 1))
    numbers = np.array([3] * num_ions + [16] * num_ions)
    return Frames(start / edge_A, cells, numbers, interval_ps * np.arange(num_frames), **said)


def ladder(seed, factor, temperatures=(500.0, 600.0, 800.0)):
    """Three temperatures of a glass whose D is off by a factor."""
    return [
        walkers(
            factor * 5.0 * np.exp(-0.2 / 8.617e-5 * (1 / t - 1 / 600.0)),
            200,
            0.1,
            seed=10 * seed + number,
            label=f"rung_{t:.0f}K_{seed}",
            temperature_K=t,
            sample=f"melt {seed}",
        )
        for number, t in enumerate(temperatures)
    ]


@pytest.fixture(scope="module")
def three_glasses():
    return analyze_transport(
        [f for seed, x in enumerate((1.0, 2.0, 4.0)) for f in ladder(seed, x)], None, 3.0
    )


def test_every_glass_has_a_row_and_all_have_one(three_glasses, tmp_path):
    glasses = compare_glasses(three_glasses)
    assert [glass.name for glass in glasses] == ["melt 0", "melt 1", "melt 2"]
    found = [glass.diffusivity["Li"][600.0].value for glass in glasses]
    assert np.allclose(np.array(found) / A2_PER_PS, [5.0, 10.0, 20.0], rtol=0.3)
    for glass in glasses:
        fit = glass.arrhenius["Li"]
        assert abs(fit.activation_energy_eV - 0.2) < 3 * fit.error_eV
    section = study_section(glasses, three_glasses, tmp_path)
    (table,) = section.tables
    assert [row[0] for row in table.rows] == ["melt 0", "melt 1", "melt 2", "all"]
    assert len(table.header) == len(table.rows[0]) == 6
    assert "From glass to glass ln D differs by 0." in table.caption
    assert section.figures[0].path.with_suffix(".csv").read_text().count("\n") == 10
    alone = analyze_transport(ladder(0, 1.0), None, 3.0)
    assert compare_glasses(alone) == []


def test_summary_has_what_people_come_for_first_and_the_many_as_a_range(three_glasses):
    section = summary_section(transport_entries(three_glasses))
    (table,) = section.tables
    quantities = [row[0] for row in table.rows]
    assert quantities[:3] == ["activation energy", "diffusivity at 300 K", "conductivity at 300 K"]
    assert quantities.count("diffusivity") == 1
    (row,) = (row for row in table.rows if row[0] == "diffusivity")
    assert row[1] == "9 runs or species"
    assert "to" in row[2]
    marks = {int(mark) for row in table.rows for mark in re.findall(r"\[(\d+)\]", row[-1] or "")}
    assert marks == set(range(1, len(section.warnings) + 1))
    assert marks


@pytest.mark.parametrize(
    ("diffusivity_cm2_per_s", "num_frames", "interval_ps", "directions"),
    [
        # Seth, Kulkarni and Sai Gautam 2025: 7.5e-9 cm^2/s over 100 ps are 0.05 A^2
        (7.5e-9, 500, 0.2, "xyz"),
        # Wang et al. 2022: the smallest D out of plane is 1.3 A^2 in 10 ns
        (1.3 / (2 * 10_000.0) * A2_PER_PS, 500, 20.0, "z"),
    ],
)
def test_published_diffusivities_under_the_gate_come_out_as_bounds(
    diffusivity_cm2_per_s, num_frames, interval_ps, directions
):
    frames = walkers(diffusivity_cm2_per_s / A2_PER_PS, num_frames, interval_ps, temperature_K=300.0)
    transport = analyze_transport([frames], ["Li"], 2.8, directions)
    entry = transport_entries(transport)["diffusivity"]
    assert entry["value"] is None
    assert entry["upper_bound"] > diffusivity_cm2_per_s
    section = summary_section(transport_entries(transport))
    assert section.tables[0].rows[0][2].startswith("<")
    assert "[1] an upper bound, not a value" in section.warnings[0]
    # 300 times the D is above the gate, and is given
    moving = walkers(300 * diffusivity_cm2_per_s / A2_PER_PS, num_frames, interval_ps, temperature_K=300.0)
    found = analyze_transport([moving], ["Li"], 2.8, directions).stretches[0].diffusivity["Li"]
    assert found.value == pytest.approx(300 * diffusivity_cm2_per_s, rel=0.5)


def test_methods_cite_only_what_is_listed(tmp_path):
    for name, text in ANALYSIS_METHODS.items():
        numbered, keys = number_citations(text)
        assert name in ANALYSES
        assert not re.search(r"\[[a-z]", numbered), name
        assert len(list_references(keys)) == len(keys)
    frames = walkers(1.0, 20, 0.5, temperature_K=600.0)
    section = methods_section([tmp_path / "dump.lammpstrj"], [frames], ["diffusion", "hops"], tmp_path)
    assert "20 frames every 0.5 ps" in section.text
    cited = {int(number) for number in re.findall(r"\[(\d+)\]", section.text)}
    assert cited == set(range(1, len(section.references) + 1))
    assert section.references[1].startswith("He, X., Zhu, Y., Epstein, A. and Mo, Y. Statistical variances")
    (bib,) = section.files
    assert bib.read_text().count("@article{") == len(section.references)
    assert write_bibtex(["allen2017"], tmp_path / "one.bib").read_text().startswith("@book{allen2017,\n")


def test_numbers_have_the_digits_of_their_errors():
    assert with_error(0.19163, 0.0268) == "0.192 ± 0.027"
    assert with_error(5.289e-5, 1.1e-5) == "(5.3 ± 1.1) × 10⁻⁵"
    assert with_error(1.6482, 0.00021) == "1.64820 ± 0.00021"
    assert with_error(2e-7, 3e-6) == "(0.2 ± 3.0) × 10⁻⁶"
    assert with_interval(None, (0.142, 0.243)) == "0.142 – 0.243"
    assert with_interval(0.1357, (0.04, 0.43)) == "0.14 (0.04 – 0.43)"
    assert with_interval(None, (2271.05, 2352.95)) == "2271 – 2353"
    assert with_interval(None, (5.985e-4, 1.977e-3)) == "(0.60 – 1.98) × 10⁻³"
    assert with_interval(2.31e-9, (2.29e-9, 2.34e-9)) == "2.310 (2.290 – 2.340) × 10⁻⁹"
    assert with_interval(1e-7, (3e-9, 4e-6)) == "1.0 × 10⁻⁷ (3.0 × 10⁻⁹ – 4.0 × 10⁻⁶)"


def test_frames_of_one_sample_are_no_study():
    frames = replace(walkers(1.0, 50, 0.5), temperature_K=600.0, sample="a")
    assert compare_glasses(analyze_transport([frames, frames], ["Li"], 3.0)) == []


def test_why_there_is_no_value_is_said_once():
    entry = {"value": None, "unit": "K", "error": None, "method": "two lines", "warnings": ["one line fits"]}
    assert summary_section({"glass_transition_density.quench": entry}).warnings == ["[1] one line fits."]
    reason = entry | {"method": "not given: too short", "warnings": ["a Langevin thermostat"]}
    notes = summary_section({"haven_ratio.nvt": reason}).warnings
    assert notes == ["[1] a Langevin thermostat.", "[2] no value: too short."]


def test_what_several_runs_say_together_stands_on_top():
    runs = [walkers(1.0, 200, 0.5, temperature_K=600.0, seed=seed) for seed in range(3)]
    transport = analyze_transport(runs, ["Li"], 3.0)
    (card, *_) = transport_highlights(transport)
    pooled = transport.pooled["Li"][600.0]
    assert card.value == with_error(pooled.value, pooled.error)
    assert "all runs" in card.note
    entry = transport_entries(transport)["diffusivity_replicas.600K"] | {"species": ["Li", "Na"]}
    assert summary_section({"charge_diffusivity.a": entry}).tables[0].rows[0][1].startswith("Li, Na, 600 K")

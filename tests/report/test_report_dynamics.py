"""Plots show what the results say; the sphere renderer gets depth right."""

from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk

from md.analysis import Frames, fit_arrhenius
from md.analysis.diffusion import Diffusivity
from md.analysis.structure import analyze_structure
from md.analysis.transport import analyze_transport
from md.report.entries import entry, join_name
from md.report.picture import draw_structure, picture_figure
from md.report.plots import plot_arrhenius
from md.report.spheres import render_spheres
from md.report.structure import structure_entries, structure_section
from md.report.transport import transport_section
from md.report.transport_entries import transport_entries
from mlip.report.figures import new_axes


def measured(value, error, bound=None):
    return Diffusivity("Li", value, error, bound, (1.0, 2.0), 0.1, 1.0, error, error, 50.0, 3.0, 3, "test")


@pytest.fixture
def walkers():
    """Lithium walking past sulfur at rest, 300 frames."""
    rng = np.random.default_rng(0)
    positions = np.tile(rng.uniform(0, 10, (1, 40, 3)), (300, 1, 1))
    positions[:, :20] += np.cumsum(rng.normal(scale=0.3, size=(300, 20, 3)), axis=0)
    cells = np.tile(10 * np.eye(3), (300, 1, 1))
    return Frames(positions / 10, cells, np.array([3] * 20 + [16] * 20), 0.1 * np.arange(300), "hold", 600.0)


def test_nearer_sphere_hides_the_farther():
    centres = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 2.0], [3.0, 0.0, 0.0]])
    colors = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    image, (left, right, bottom, top) = render_spheres(centres, np.ones(3), colors, pixels_per_A=20)
    row, column = image.shape[0] // 2, int((0.0 - left) / (right - left) * image.shape[1])
    red, _, blue, alpha = image[row, column]
    assert blue > red
    assert alpha == 1.0
    assert image[0, 0, 3] == 0.0
    assert image[row, int((3.0 - left) / (right - left) * image.shape[1])][1] > 0.5
    assert top - bottom == pytest.approx(2.0, abs=0.3)


def test_picture_shows_every_species_in_its_legend(tmp_path):
    atoms = bulk("Li2S", "fluorite", a=5.7, cubic=True)
    with new_axes("", "") as (_, axes):
        draw_structure(axes, atoms)
        assert [text.get_text() for text in axes.get_legend().get_texts()] == ["Li", "S"]
    figure = picture_figure({"crystal": atoms}, tmp_path, "A crystal")
    assert figure.path.with_suffix(".csv").read_text().count("\n") == 13


def test_a_ring_is_around_its_atom():
    """Seen along the second lattice vector x is to the right and z is up; an atom outside comes in first."""
    atoms = bulk("Li2S", "fluorite", a=5.7, cubic=True)
    atoms.positions[5] += [5.7, 0.0, -11.4]
    with new_axes("", "") as (_, axes):
        draw_structure(axes, atoms, turn_deg=0.0, tilt_deg=0.0, ring=5)
        (circle,) = axes.patches
    atoms.wrap()
    assert circle.center == pytest.approx(atoms.positions[5, [0, 2]])


def test_arrhenius_plot_keeps_bounds_out_of_the_line():
    temperatures = [500.0, 600.0, 700.0, 800.0]
    points = [(500.0, measured(None, None, 1e-6))]
    points += [(t, measured(1e-3 * np.exp(-0.3 / 8.617e-5 / t), 1e-7)) for t in temperatures[1:]]
    fit = fit_arrhenius(temperatures, [p.value for _, p in points], [p.error for _, p in points])
    with new_axes("1000 / T (1/K)", "D (cm²/s)") as (figure, axes):
        plot_arrhenius(axes, points, fit)
        figure.draw_without_rendering()
        assert "0.30" in axes.get_legend().get_texts()[0].get_text()
        assert len(axes.containers) == 3
        assert axes.get_yscale() == "log"


def test_chapters_and_entries_of_a_run(tmp_path, walkers):
    transport = analyze_transport([walkers], hop_distance_A=2.0)
    section = transport_section(transport, tmp_path)
    entries = transport_entries(transport)
    assert set(entries) == {"diffusivity", "conductivity"}
    assert entries["diffusivity"]["unit"] == "cm^2/s"
    assert entries["diffusivity"]["species"] == "Li"
    structure = analyze_structure([walkers], r_max=5.0)
    pages = [section, structure_section(structure, tmp_path, structure[0].rdf)]
    for figure in (figure for page in pages for figure in page.figures):
        assert figure.path.exists()
        assert figure.path.with_suffix(".csv").exists()
    assert structure_entries(structure)["density"]["unit"] == "g/cm^3"


def test_several_runs_and_species_have_names_that_tell_them_apart(walkers):
    cooler = replace(walkers, label="cool", temperature_K=500.0)
    names = transport_entries(analyze_transport([walkers, cooler], ["Li", "S"], 2.0)).keys()
    assert {
        "diffusivity.Li.hold",
        "diffusivity.Li.cool",
        "diffusivity.S.hold",
        "activation_energy.Li",
    } <= names
    assert join_name("diffusivity", "", "hold") == "diffusivity.hold"
    assert entry(measured(1e-6, 1e-7), species="Li")["species"] == "Li"

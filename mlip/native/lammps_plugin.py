"""The LAMMPS plugin with pair style `nequip`: what it is compiled from, and its place in the cache."""

from pathlib import Path

from mlip.native.builder import ensure_built
from mlip.native.library import NativeLibrary
from mlip.native.packages import (
    environment_include_dir,
    package_folder,
    package_version,
    torch_include_dirs,
    torch_link_flags,
)

SOURCES = Path(__file__).parent / "lammps"
REMEDY = "pip install 'vitreous[lammps]'"


def lammps_plugin() -> NativeLibrary:
    """Describe the plugin for the torch and the LAMMPS of this environment.

    LAMMPS loads by itself what ends in `plugin.so`, hence the name.

    Returns:
        The library.

    Raises:
        ConfigError: LAMMPS or torch is not installed.
    """
    lammps = package_version("lammps", REMEDY)
    torch = package_version("torch", "pip install torch")
    headers = package_folder("lammps", REMEDY) / "include" / "lammps"
    return NativeLibrary(
        name="vitreous_nequipplugin",
        title="the LAMMPS plugin",
        sources=tuple(sorted(SOURCES.glob("*.cpp"))),
        headers=tuple(sorted(SOURCES.glob("*.h"))),
        include_dirs=(environment_include_dir(), headers, *torch_include_dirs()),
        flags=("-DLAMMPS_SMALLBIG", f"-DVITREOUS_LAMMPS_VERSION={version_date(lammps)}"),
        link_flags=torch_link_flags(),
        versions=(f"lammps {lammps}", f"torch {torch}"),
    )


def version_date(version: str) -> int:
    """LAMMPS's own number of a version of its wheel: `2025.7.22.4.0` is 20250722."""
    year, month, day = (int(part) for part in version.split(".")[:3])
    return 10000 * year + 100 * month + day


def ensure_plugin() -> Path:
    """Build the plugin unless it is there, and return its path.

    Raises:
        ConfigError: LAMMPS, torch or a compiler is missing, or the compilation failed.
    """
    return ensure_built(lammps_plugin())

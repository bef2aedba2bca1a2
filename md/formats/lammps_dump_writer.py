"""LAMMPS text dumps: frames into them, in the units `metal`.

Cells are triangular there: a cell that is not is turned, with positions and velocities.
"""

import logging
from pathlib import Path

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

from md.engines.lammps_input import Frame as TurnedFrame
from md.formats.frame import Frame, write_rows
from mlip.errors import DataError
from mlip.units import FS_PER_PS

logger = logging.getLogger(__name__)


class DumpWriter:
    """Frames into a dump that LAMMPS (rerun, read_dump), ASE and OVITO read."""

    def __init__(self, path: Path) -> None:
        """Make the file."""
        self._stream = path.open("w")
        self._species: list[int] = []

    def write(self, frame: Frame) -> None:
        """Append one frame.

        Raises:
            DataError: There is no cell, or it is left-handed.
        """
        if np.linalg.det(frame.cell) <= 0:
            raise DataError(
                f"step {frame.step} has a cell without volume or left-handed; expected three right-handed "
                "lattice vectors: LAMMPS has no other boxes"
            )
        if not self._species:
            self._species = np.unique(frame.numbers).tolist()
            names = [f"{k} {chemical_symbols[each]}" for k, each in enumerate(self._species, start=1)]
            logger.info("atom types: %s", ", ".join(names))
        turned = TurnedFrame.of_cell(frame.cell)
        self._write_head(frame, turned.to_lammps(frame.cell))
        symbols = np.array([chemical_symbols[number] for number in frame.numbers])
        ids, types = np.arange(1, len(symbols) + 1), 1 + np.searchsorted(self._species, frame.numbers)
        columns = [ids, types, symbols, frame.masses, *turned.to_lammps(frame.positions).T, *frame.images.T]
        form = "%d %d %s %.10g %.10g %.10g %.10g %d %d %d"
        names_of_columns = "id type element mass x y z ix iy iz"
        if frame.velocities is not None:
            columns.extend(turned.to_lammps(frame.velocities).T * FS_PER_PS)
            form, names_of_columns = f"{form} %.9g %.9g %.9g", f"{names_of_columns} vx vy vz"
        self._stream.write(f"ITEM: ATOMS {names_of_columns}\n")
        write_rows(self._stream, f"{form}\n", columns)

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def _write_head(self, frame: Frame, cell: NDArray[np.float64]) -> None:
        (lx, _, _), (xy, ly, _), (xz, yz, lz) = cell.tolist()
        flags = " ".join("pp" if flag else "ff" for flag in frame.pbc)
        if frame.time_ps is not None:
            self._stream.write(f"ITEM: UNITS\nmetal\nITEM: TIME\n{frame.time_ps!r}\n")
        self._stream.write(f"ITEM: TIMESTEP\n{frame.step}\nITEM: NUMBER OF ATOMS\n{len(frame.numbers)}\n")
        if xy == xz == yz == 0.0:
            bounds = "".join(f"0.0 {length!r}\n" for length in (lx, ly, lz))
            self._stream.write(f"ITEM: BOX BOUNDS {flags}\n{bounds}")
            return
        low_x, high_x = min(0.0, xy, xz, xy + xz), lx + max(0.0, xy, xz, xy + xz)
        self._stream.write(
            f"ITEM: BOX BOUNDS xy xz yz {flags}\n{low_x!r} {high_x!r} {xy!r}\n"
            f"{min(0.0, yz)!r} {ly + max(0.0, yz)!r} {xz!r}\n0.0 {lz!r} {yz!r}\n"
        )

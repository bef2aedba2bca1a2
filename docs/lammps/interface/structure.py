"""Writes interface.data: lithium, strained to fit, beside Li2S; two interfaces, no vacuum."""

import logging

import numpy as np
from ase import Atoms
from ase.build import bulk, make_supercell
from ase.io import write

LI_A, LI2S_A = 3.44, 5.71  # lattice parameters of bcc lithium and antifluorite Li2S, A
METAL_CELLS, SULFIDE_CELLS = 4, 1  # normal to the interface: 2 planes, and 3 Li-S-Li layers a cell
GAP = 2.0  # between the outermost planes, A
LARGEST_MISMATCH = 0.02
SMALLEST_WIDTH = 12.0  # A

logger = logging.getLogger("interface")


def match(metal: float, sulfide: float) -> tuple[int, int]:
    """Count the cells of metal and of sulfide that make the smallest coincidence; the metal takes the strain.

    Args:
        metal: length of its cell along an axis, A.
        sulfide: the same.
    """
    for n in range(1, 20):
        m = round(n * sulfide / metal)
        mismatch = m * metal / (n * sulfide) - 1
        if n * sulfide >= SMALLEST_WIDTH and abs(mismatch) < LARGEST_MISMATCH:
            logger.info("%d cells of lithium on %d of Li2S, mismatch %.1f %%", m, n, 100 * mismatch)
            return m, n
    raise SystemExit("found no coincidence within 20 cells; expected a larger LARGEST_MISMATCH")


def sulfide_111() -> Atoms:
    """Antifluorite with (111) along z, rectangular; cut between Li-S-Li layers: neutral, without dipole."""
    cell = make_supercell(bulk("SLi2", "fluorite", a=LI2S_A), [[-1, 1, 0], [-1, -1, 2], [1, 1, 1]])
    cell.set_cell(np.diag(cell.cell.lengths()), scale_atoms=True)
    sulfur_z = cell.positions[cell.symbols == "S", 2].min()
    cell.positions[:, 2] += cell.cell[2, 2] / 6 - sulfur_z
    cell.wrap()
    return cell


def stack() -> Atoms:
    """Metal below, Li2S above; types 1 Li of the metal, 2 Li of Li2S, 3 S."""
    sulfide = sulfide_111()
    (mx, nx), (my, ny) = (match(LI_A, length) for length in sulfide.cell.lengths()[:2])
    sulfide = sulfide.repeat((nx, ny, SULFIDE_CELLS))
    metal = bulk("Li", "bcc", a=LI_A, cubic=True).repeat((mx, my, METAL_CELLS))
    width = sulfide.cell.lengths()[:2]
    metal.set_cell([*width, metal.cell[2, 2]], scale_atoms=True)
    metal.positions[:, 2] -= metal.positions[:, 2].min()
    sulfide.positions[:, 2] += metal.positions[:, 2].max() + GAP - sulfide.positions[:, 2].min()
    both = metal + sulfide
    both.set_cell([*width, both.positions[:, 2].max() + GAP])
    both.pbc = True
    both.set_array("type", np.where(both.symbols == "S", 3, 2))
    both.arrays["type"][: len(metal)] = 1
    logger.info("%d Li of metal, %d Li and %d S of Li2S", *np.bincount(both.arrays["type"])[1:])
    return both


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    write("interface.data", stack(), format="lammps-data", specorder=["Li", "Li", "S"], masses=True)

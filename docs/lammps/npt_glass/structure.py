"""Writes lithium.data: body-centred cubic lithium, to be molten."""

from ase.build import bulk
from ase.io import write

REPEATS = (4, 4, 4)

atoms = bulk("Li", "bcc", a=3.44, cubic=True).repeat(REPEATS)
write("lithium.data", atoms, format="lammps-data", specorder=["Li"], masses=True)

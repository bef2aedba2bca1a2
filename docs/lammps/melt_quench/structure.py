"""Writes li3ps4.data: gamma-Li3PS4, stretched to the density that the glass is to have."""

from ase.io import write
from ase.spacegroup import crystal

from mlip.units import AMU_PER_A3_IN_G_PER_CM3

DENSITY_G_CM3 = 1.79  # of the glass at 300 K: Wang, Aykol and Mueller 2023, by dynamics learnt on the fly
REPEATS = (2, 2, 2)

# Cell of gamma-Li3PS4 (Homma et al. 2011, 10.1016/j.ssi.2010.10.001), sites of beta-Li3PO4:
# to be molten, not studied.
atoms = crystal(
    ["Li", "Li", "P", "S", "S", "S"],
    basis=[
        (0.2485, 0.3285, 0.9860),
        (0.0000, 0.1570, 0.4890),
        (0.0000, 0.8243, 0.0000),
        (0.2087, 0.6859, 0.8983),
        (0.0000, 0.1057, 0.8983),
        (0.5000, 0.1863, 0.8212),
    ],
    spacegroup=31,
    cellpar=[7.708, 6.535, 6.136, 90, 90, 90],
).repeat(REPEATS)
density = atoms.get_masses().sum() / atoms.get_volume() * AMU_PER_A3_IN_G_PER_CM3
atoms.set_cell(atoms.cell * (density / DENSITY_G_CM3) ** (1 / 3), scale_atoms=True)
write("li3ps4.data", atoms, format="lammps-data", specorder=["Li", "P", "S"], masses=True)

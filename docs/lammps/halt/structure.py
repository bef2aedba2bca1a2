"""Writes li6.75p3s11.data: the first DFT frame, 83 atoms, of the data that the potential has learnt."""

from ase.io import read, write

from mlip.inputs import datasets_folder

atoms = read(datasets_folder() / "lips" / "small_20.extxyz", index=0)
write("li6.75p3s11.data", atoms, format="lammps-data", specorder=["Li", "P", "S"], masses=True)

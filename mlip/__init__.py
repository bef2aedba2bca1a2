"""Vitreous: equivariant interatomic potentials for solid-state battery materials."""

"""Energetics: what needs energies and forces of a potential, and no dynamics."""

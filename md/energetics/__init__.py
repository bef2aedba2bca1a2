"""Energies against what is done to a structure: equations of state."""

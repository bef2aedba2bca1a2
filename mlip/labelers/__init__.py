"""Labelers: programs that give frames their energies, forces and stress, behind one interface."""

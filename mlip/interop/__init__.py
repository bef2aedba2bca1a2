"""Potentials of other programs, read into ours."""

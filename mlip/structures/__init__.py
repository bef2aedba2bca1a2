"""Structures made from structures: ASE Atoms in, ASE Atoms out, each with the record of how it was made."""

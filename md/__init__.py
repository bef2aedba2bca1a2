"""Molecular dynamics: engines, protocols, trajectories and their analysis."""

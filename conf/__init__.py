"""Hydra configuration of every verb; a package so that the installed wheel carries it."""

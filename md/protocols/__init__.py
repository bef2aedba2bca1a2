"""Protocols: what is done to a structure, as an ordered list of stages."""

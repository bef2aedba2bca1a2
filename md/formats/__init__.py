"""Trajectory files, a format a file: frames out of them one by one, and into them."""

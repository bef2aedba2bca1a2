"""Plots and chapters of reports on dynamics: results in, pictures and text out."""

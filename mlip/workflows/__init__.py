"""Verbs that join training and dynamics."""

"""NequIP, read from top to bottom."""

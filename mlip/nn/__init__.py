"""Building blocks of equivariant models."""

"""Training: Lightning module, losses, metrics, and the verbs `mlip train` and `mlip eval`."""

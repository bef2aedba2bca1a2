"""Dynamics in torch: many systems in one batch, on the device where the potential computes."""

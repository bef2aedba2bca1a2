"""The one fused interaction, behind one function; `reference` defines it."""

from mlip.nn.kernels.reference import interaction

__all__ = ["interaction"]

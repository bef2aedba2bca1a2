"""The one fused interaction in several back ends; `reference` defines it."""

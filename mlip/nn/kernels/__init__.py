"""The one fused interaction, behind one function."""

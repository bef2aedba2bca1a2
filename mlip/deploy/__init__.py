"""From a potential to what engines load."""

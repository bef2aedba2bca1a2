"""Engines that move atoms: the same stage means the same physics in each of them."""

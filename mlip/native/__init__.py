"""C++ sources and the one builder."""

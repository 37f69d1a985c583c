"""The model registry and what builds a network from it."""

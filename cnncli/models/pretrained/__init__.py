"""Weights trained elsewhere: found, downloaded, and fitted into a network."""

"""Optimizers: torch's own, and those that torch does not have."""

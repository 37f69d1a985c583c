"""The table of optimizers, and those that torch does not have."""

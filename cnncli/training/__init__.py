"""The training loop and its parts; plain values in, no config."""

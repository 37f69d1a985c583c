"""Layers worked on numbers: a convolution and what follows it, forwards, backwards and in words."""

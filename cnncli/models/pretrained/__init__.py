"""Pretrained weights: finding them, downloading them and loading them into a network."""

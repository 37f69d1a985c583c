"""Augmentation: its notation, which is light, and what it does to images, which is not."""

"""Shapes, costs and receptive fields of a network's layers, without computing an image."""

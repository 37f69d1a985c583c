"""The arithmetic of layers: sizes, parameters, MACs and receptive fields, without torch."""

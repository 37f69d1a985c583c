"""Exported networks: what their files say, and how they are run without torch."""

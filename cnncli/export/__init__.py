"""Writing a trained network as a file for other programs, and checking that it answers alike."""

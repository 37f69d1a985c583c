"""Pictures: each ``save_`` function draws one into a file."""

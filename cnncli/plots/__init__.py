"""Pictures: each function draws one into a file."""

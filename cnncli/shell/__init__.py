"""What the commands share: flags, the terminal, and the start of a run."""

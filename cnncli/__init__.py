"""cnncli: image classification in the shell."""

__version__ = "0.1.0"

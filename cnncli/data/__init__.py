"""Where samples come from: sources, splits, caches, batches."""

EMBEDDED = ("digits",)

"""Where samples come from: sources, splits, caches, batches."""

EMBEDDED = ("digits",)
# What stands in front of the name of one of torchvision's data sets.
TORCHVISION = "torchvision:"

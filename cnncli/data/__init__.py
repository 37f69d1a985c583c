"""Labelled images: where they are found, which split they are in, and how batches are made."""

# Names of data sets that come with the package, for --data.
EMBEDDED = ("digits",)
# What --data puts in front of the name of one of torchvision's data sets.
TORCHVISION = "torchvision:"

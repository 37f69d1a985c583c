"""One file to one array: decode, preprocess, augment."""

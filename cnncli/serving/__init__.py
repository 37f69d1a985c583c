"""Answer images over HTTP: one network, bounded in count, size and time."""

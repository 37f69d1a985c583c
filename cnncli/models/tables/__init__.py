"""The networks as plain data; light, so that the registry needs no torch."""

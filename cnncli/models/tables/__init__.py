"""The networks as plain data, without torch, so that the registry needs no torch either."""

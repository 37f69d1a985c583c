"""cnncli's own networks, one file for each architecture."""

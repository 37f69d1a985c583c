"""A search for settings: its space, its study, its trials."""

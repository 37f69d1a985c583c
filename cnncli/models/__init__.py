"""The registry of models, and the functions that build, change and inspect networks."""

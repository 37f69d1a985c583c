"""Metrics as pure functions, the report, and its plots."""

"""Looks a data set over: damage, duplicates, leaks, groups, classes and shortcuts."""

"""Checks of a data set: damaged files, copies, leaks, groups, classes and shortcuts."""
